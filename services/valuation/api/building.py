"""From what a client states to a line of a case: checks of formulas, units, sources and rates."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from services.valuation.api.inputs import DistributionBody, InputBody
from services.valuation.api.lines import NewBenefit, NewCost
from services.valuation.clients.metrics import Asked
from services.valuation.domain.case import CaseBody
from services.valuation.domain.lines import (
    Attribution,
    BenefitLine,
    CostLine,
    Counted,
    Distribution,
    Input,
    MetricChange,
    MetricValue,
    Once,
    Overlap,
    Profile,
    Ramp,
    Recurring,
    money_inputs,
)
from services.valuation.domain.ramps import adoption
from services.valuation.domain.schedule import MONTHS, bookable, planned_flows, slots_of
from services.valuation.domain.templates import TEMPLATES, Template
from services.valuation.domain.units import UnitError, demand_money, read
from services.valuation.queries.definitions import EXCHANGE_RATES_DEFINITION
from services.valuation.queries.world import World, exchange
from shared.errors import INVALID, Fault, invalid
from shared.expression import FormulaError, Term, names_in, never_works, parse
from shared.ids import did_you_mean


def cost_line(world: World, frame: CaseBody, body: NewCost, identity: str) -> CostLine:
    """A cost as the case keeps it; refuses what could not be computed, or falls outside."""
    _demand_on_axis(frame, body)
    inputs = {name: _input(world, f"/inputs/{name}", i, None) for name, i in body.inputs.items()}
    if body.formula is not None:
        term = _checked(body.formula, inputs, {}, "/formula")
        for name, source in inputs.items():
            if source.is_measured:
                raise invalid(f"/inputs/{name}", "A planned cost is stated, not measured.", "plan")
        _demand_money(term, inputs, None)
    line = CostLine(
        cost_id=identity, name=body.name, category=body.category, amounts=body.amounts,
        once=Once(on=body.once.on, amount=body.once.total) if body.once else None,
        recurring=_recurring(body), formula=body.formula, inputs=inputs, risk=body.risk,
        currency=None if body.currency == frame.currency else body.currency, phase=body.phase,
    )  # fmt: skip
    foreign = money_inputs(inputs) | ({line.currency} if line.currency else set())
    if line.currency is not None and money_inputs(inputs) - {line.currency}:
        detail = f"Inputs of a cost in {line.currency} are in {line.currency}, or leave it out."
        raise invalid("/currency", detail, "mixed_currencies")
    _demand_rates(world, frame, foreign)
    if line.currency is None and planned_flows(line, slots_of(frame)) is None:
        raise invalid("/formula", "The formula divides by zero in some period.", "formula")
    return line


def benefit_line(world: World, frame: CaseBody, body: NewBenefit, identity: str) -> BenefitLine:
    """A benefit as the case keeps it; refuses what is no money, usage, or can't be computed."""
    template = TEMPLATES.get(body.template or "")
    formula = body.formula or (template.formula_for(MONTHS[frame.grain]) if template else "")
    inputs = {n: _input(world, f"/inputs/{n}", i, template) for n, i in body.inputs.items()}
    planned = {n: _input(world, f"/planned/{n}", i, None) for n, i in body.planned.items()}
    term = _checked(formula, inputs, planned, "/formula")
    _demand_money(term, _with_units(inputs, planned), template)
    if body.counts is not None:
        _demand_names(_parsed(body.counts.formula, "/counts/formula"), inputs, "/counts/formula")
    _demand_rates(world, frame, money_inputs(inputs) | money_inputs(planned))
    stated = body.adoption
    ramp = Ramp(shape=stated.shape, periods=stated.periods, delay=stated.delay) if stated else None
    return BenefitLine(
        benefit_id=identity, name=body.name, category=body.category, audience=body.audience,
        template=body.template, formula=formula, inputs=inputs, planned=planned,
        adoption=adoption(ramp, stated.curve) if ramp and stated else [Decimal(1)], ramp=ramp,
        capture=body.capture, attribution=_attribution(world, frame, body), risk=body.risk,
        risk_source=body.risk_source, goal_id=body.goal_id,
        evidence=template.evidence
        if template and "evidence" not in body.model_fields_set
        else body.evidence,
        phase=body.phase, status=body.status, posts=body.posts,
        negative=bool(template and template.negative) if body.negative is None else body.negative,
        counts=Counted(**body.counts.model_dump()) if body.counts else None,
        overlap=Overlap(**body.overlap.model_dump()) if body.overlap else None,
        profile=Profile(**body.profile.model_dump()),
    )  # fmt: skip


def _recurring(body: NewCost) -> Recurring | None:
    plan = body.recurring
    if plan is None:
        return None
    return Recurring(
        from_=plan.from_, to=plan.to, every=plan.every, amount=plan.total,
        indexation=plan.indexation,
    )  # fmt: skip


def _demand_on_axis(frame: CaseBody, body: NewCost) -> None:
    """A cost that no place of the case's time axis holds would be lost in silence."""
    slots = slots_of(frame)
    start, end = slots[0].start, slots[-1].end
    if body.amounts is not None and len(body.amounts) > len(slots):
        detail = f"The case has {frame.periods} periods and a start; that is one amount each."
        raise invalid("/amounts", detail, "too_many")
    first, _ = bookable(frame)
    if body.once is not None and not first <= body.once.on < end:
        detail = f"The case counts what is paid from {first} on and before {end}."
        raise invalid("/once/on", detail, "outside")
    recurring = body.recurring
    if recurring is not None and not start <= recurring.from_ < end:
        detail = f"The case runs from {start} to {end} (exclusive); what comes before is `once`."
        raise invalid("/recurring/from", detail, "outside")


def _parsed(formula: str, pointer: str) -> Term:
    try:
        return parse(formula)
    except FormulaError as error:
        raise invalid(pointer, str(error), "formula") from error


def _demand_names(term: Term, inputs: Mapping[str, Input], pointer: str) -> None:
    for name in sorted(names_in(term) - inputs.keys()):
        detail = f"The formula uses {name!r}, which is no input.{did_you_mean(name, inputs)}"
        raise invalid(pointer, detail, "unknown_input")


def _checked(
    formula: str, inputs: Mapping[str, Input], planned: Mapping[str, Input], pointer: str
) -> Term:
    term = _parsed(formula, pointer)
    used, faults = names_in(term), []
    if never_works(term):
        faults.append(Fault(pointer, "The formula divides by 0.", "formula"))
    for name in sorted(used - inputs.keys()):
        detail = f"The formula uses {name!r}, which is no input.{did_you_mean(name, inputs)}"
        faults.append(Fault(pointer, detail, "unknown_input"))
    for name in sorted(inputs.keys() - used):
        faults.append(Fault(f"/inputs/{name}", "The formula does not use this input.", "unused"))
    for name, source in inputs.items():
        plan = planned.get(name)
        if source.is_measured and plan is None:
            faults.append(Fault(f"/planned/{name}", "A measured input needs its plan.", "missing"))
        elif plan is not None and plan.is_measured:
            faults.append(
                Fault(f"/planned/{name}", "A plan is a curve, a value or a distribution.", "plan")
            )
    for name in sorted(planned.keys() - inputs.keys()):
        faults.append(Fault(f"/planned/{name}", "This is no input.", "unknown_input"))
    if faults:
        raise INVALID.refusal(faults[0].detail, faults)
    return term


def _with_units(inputs: Mapping[str, Input], planned: Mapping[str, Input]) -> dict[str, Input]:
    """Inputs with their units, of which a plan may say the one that its metric leaves open."""
    return {
        name: source.model_copy(update={"unit": source.unit or planned[name].unit})
        if name in planned
        else source
        for name, source in inputs.items()
    }


def _demand_money(term: Term, inputs: Mapping[str, Input], template: Template | None) -> None:
    """Refuse a formula that does not give money; what no input says its unit of is not checked."""
    expected = template.units if template else {}
    units = {name: read(i.unit or expected.get(name)) for name, i in inputs.items()}
    try:
        demand_money(term, units)
    except UnitError as error:
        said = ", ".join(f"{n} in {i.unit or expected.get(n) or '?'}" for n, i in inputs.items())
        detail = f"The formula must give money, but {error} ({said}). Mend a unit or the formula."
        raise invalid("/formula", detail, "unit") from error


def _input(world: World, pointer: str, body: InputBody, template: Template | None) -> Input:
    """An input with what metrics says of its metric: unit, and the filter of its baseline."""
    change, value = body.metric_change, body.metric
    key = change.metric if change else value.key if value else None
    unit = body.unit
    if key is not None:
        metric = world.metrics.metric(world.credential, key)
        if metric.nature == "usage":
            detail = f"{key!r} measures usage; usage is not value and can't be turned into money."
            raise invalid(pointer, detail, "usage_metric")
        unit = unit or metric.unit
    changed = None
    if change is not None:
        frozen = world.metrics.baseline(world.credential, change.baseline_id)
        if frozen.metric != change.metric:
            detail = f"The baseline is one of {frozen.metric!r}, not of {change.metric!r}."
            raise invalid(f"{pointer}/metric_change/baseline_id", detail, "other_metric")
        sense = change.sense or (template.sense if template else "rise")
        changed = MetricChange(
            metric=change.metric, baseline_id=change.baseline_id, where=frozen.where, sense=sense
        )
    return Input(
        metric_change=changed,
        metric=MetricValue(key=value.key, where=value.where) if value else None,
        curve=body.curve, value=body.value, unit=unit,
        distribution=distribution(world, pointer, body.distribution) if body.distribution else None,
    )  # fmt: skip


def distribution(world: World, pointer: str, body: DistributionBody) -> Distribution:
    """A distribution; of a metric's history the values are read now and kept."""
    stated = Distribution(**body.model_dump())
    if body.kind != "history" or body.metric is None or body.periods is None:
        return stated
    if world.metrics.metric(world.credential, body.metric).nature == "usage":
        detail = f"{body.metric!r} measures usage; usage is not value and can't become money."
        raise invalid(f"{pointer}/distribution/metric", detail, "usage_metric")
    (answer,) = world.replay([Asked(body.metric, tuple(body.periods))])
    if answer.replay is None:
        detail = answer.problem.detail if answer.problem else "The metric can't be asked."
        raise invalid(f"{pointer}/distribution/metric", detail, "history")
    values = [v.value for v in answer.replay.values if v.value is not None]
    if len(values) < 2:
        detail = f"{body.metric!r} has fewer than two values in these periods."
        raise invalid(f"{pointer}/distribution/periods", detail, "history")
    return stated.model_copy(update={"values": values})


def _attribution(world: World, frame: CaseBody, body: NewBenefit) -> Attribution:
    """The share due to the initiative; one that a goal acknowledges is looked up."""
    goal = world.goals.goal(world.credential, body.goal_id) if body.goal_id is not None else None
    if goal is not None and goal.initiative_id != frame.initiative_id:
        detail = "This goal is one of another initiative; its obstacles and shares are not of here."
        raise invalid("/goal_id", detail, "other_initiative")
    stated = body.attribution
    if stated is None:
        return Attribution(share=Decimal(1), reason="not stated")
    share = stated.share
    if share is None:
        acknowledged = goal is not None and goal.acknowledged_by is not None
        share = goal.expected_share if goal is not None and acknowledged else None
        if share is None:
            detail = "The goal's owner has acknowledged no share yet; state one."
            raise invalid("/attribution/share", detail, "not_acknowledged")
    return Attribution(share=share, reason=stated.reason, source=stated.source)


def _demand_rates(world: World, frame: CaseBody, currencies: set[str]) -> None:
    """Other currencies need a rate that was recorded on the case's first day or before.

    Money without a dated rate would be a guess.
    """
    for currency in sorted(currencies - {frame.currency}):
        world.metrics.define(world.credential, EXCHANGE_RATES_DEFINITION)
        if None in exchange(world, currency, frame.currency, slots_of(frame)):
            raise invalid(
                "/currency",
                f"No rate of {currency} in {frame.currency} was recorded for {frame.start} or "
                "before; send it to metrics as `fx.rate.observed` (base, quote, rate).",
                "missing_rate",
            )
