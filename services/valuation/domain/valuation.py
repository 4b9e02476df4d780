"""A case computed: planned, realised and outlook, each by its own formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from typing import Any, Literal

from services.valuation.domain.case import BenefitLine, Case, CostLine
from services.valuation.domain.finance import (
    PRECISION,
    Months,
    Rate,
    factors,
    irr,
    payback,
    present_value,
    ratio,
)
from services.valuation.domain.schedule import MONTHS, Slot, planned_costs, slots_of
from shared.expression import FormulaError, evaluate, parse

Kind = Literal["cost", "benefit"]


@dataclass(frozen=True)
class Measured:
    """What the world says: figures of inputs per period, and booked costs.

    `inputs[benefit][input][index]` is None where there is no figure; `actuals[cost][index]` is
    there only where something was booked. `elapsed` is the number of periods that are over.
    """

    inputs: Mapping[str, Mapping[str, Sequence[Decimal | None]]]
    actuals: Mapping[str, Mapping[int, Decimal]]
    elapsed: int


@dataclass(frozen=True)
class Line:
    """A line's amounts along the axis; None where nothing is known."""

    line_id: str
    name: str
    kind: Kind
    category: str
    phase: str | None
    amounts: list[Decimal | None]
    variance: Decimal | None = None


@dataclass(frozen=True)
class Row:
    """A place on the axis with its sums."""

    slot: Slot
    costs: Decimal
    benefits: Decimal
    cumulative: Decimal
    discounted: Decimal

    @property
    def net(self) -> Decimal:
        return self.benefits - self.costs


@dataclass(frozen=True)
class Figures:
    """Everything computed of one series of flows."""

    npv: Decimal
    pv_costs: Decimal
    pv_benefits: Decimal
    roi_tei: float | None
    roi_undiscounted: float | None
    irr: Rate
    payback: Months
    discounted_payback: Months
    bcr: float | None
    tco: Decimal
    rows: list[Row]
    lines: list[Line]


@dataclass
class Valued:
    """The three valuations of a case, and what was noticed on the way."""

    plan: Figures
    realised: Figures
    outlook: Figures
    findings: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def value(case: Case, measured: Measured) -> Valued:
    """Compute a case from its lines and what was measured."""
    slots = slots_of(case.body)
    findings: list[tuple[str, dict[str, Any]]] = []
    with localcontext(PRECISION):
        planned_cost = {c.cost_id: planned_costs(c, slots) for c in case.costs}
        planned = {b.benefit_id: _planned(b, slots, findings) for b in case.benefits}
        realised = {b.benefit_id: _realised(b, slots, measured, findings) for b in case.benefits}
        plan = _series(case, slots, planned_cost, planned, len(slots), {})
        actual = {c.cost_id: _actual(c, planned_cost[c.cost_id], measured) for c in case.costs}
        reached = measured.elapsed + 1
        variances = {
            c.cost_id: sum(actual[c.cost_id][:reached], Decimal(0))
            - sum(planned_cost[c.cost_id][:reached], Decimal(0))
            for c in case.costs
        }
        done = _series(case, slots, actual, realised, reached, variances)
        expected = {
            b: [r if r is not None else p for r, p in zip(realised[b], planned[b], strict=True)]
            for b in planned
        }
        outlook = _series(case, slots, actual, expected, len(slots), variances)
    _note_weaknesses(case, findings)
    told = [f for n, f in enumerate(findings) if f not in findings[:n]]
    return Valued(plan, done, outlook, told)


def _planned(
    line: BenefitLine, slots: Sequence[Slot], findings: list[tuple[str, dict[str, Any]]]
) -> list[Decimal | None]:
    """model(expected change) x adoption x capture x attribution x (1 - risk)."""
    term = parse(line.formula)
    amounts: list[Decimal | None] = [Decimal(0)]
    knobs = line.capture * line.attribution.share * (1 - line.risk)
    for index in range(len(slots) - 1):
        inputs = {}
        for name, source in line.inputs.items():
            stated = line.planned.get(name, source).stated(index)
            assert stated is not None, "the API demands a plan for every measured input"
            inputs[name] = stated
        try:
            adopted = line.adoption[min(index, len(line.adoption) - 1)]
            amounts.append(evaluate(term, inputs, Decimal) * adopted * knobs)
        except FormulaError as error:
            findings.append(("not_computable", {"benefit": line.name, "why": str(error)}))
            amounts.append(None)
    return amounts


def _realised(
    line: BenefitLine,
    slots: Sequence[Slot],
    measured: Measured,
    findings: list[tuple[str, dict[str, Any]]],
) -> list[Decimal | None]:
    """model(measured change) x capture x attribution; adoption and risk are in it already."""
    amounts: list[Decimal | None] = [Decimal(0)]
    if not any(source.is_measured for source in line.inputs.values()):
        findings.append(("not_measured", {"benefit": line.name}))
        return amounts + [None] * (len(slots) - 1)
    term, figures = parse(line.formula), measured.inputs.get(line.benefit_id, {})
    for index in range(len(slots) - 1):
        if index >= measured.elapsed:
            amounts.append(None)
            continue
        inputs: dict[str, Decimal | None] = {
            name: figures[name][index] if source.is_measured else source.stated(index)
            for name, source in line.inputs.items()
        }
        missing = sorted(name for name, figure in inputs.items() if figure is None)
        if missing:
            period = slots[index + 1].name
            findings.append(
                (
                    "input_missing",
                    {"benefit": line.name, "inputs": ", ".join(missing), "period": period},
                )
            )
            amounts.append(None)
            continue
        known = {name: figure for name, figure in inputs.items() if figure is not None}
        try:
            amounts.append(evaluate(term, known, Decimal) * line.capture * line.attribution.share)
        except FormulaError as error:
            findings.append(("not_computable", {"benefit": line.name, "why": str(error)}))
            amounts.append(None)
    return amounts


def _actual(line: CostLine, planned: Sequence[Decimal], measured: Measured) -> list[Decimal]:
    """What was booked, where something was; else what was planned."""
    booked: dict[int, Decimal] = {}
    for name in (line.cost_id, line.name):
        for index, amount in measured.actuals.get(name, {}).items():
            booked[index] = booked.get(index, Decimal(0)) + amount
    return [booked.get(index, amount) for index, amount in enumerate(planned)]


def _series(
    case: Case,
    slots: Sequence[Slot],
    costs: Mapping[str, Sequence[Decimal]],
    benefits: Mapping[str, Sequence[Decimal | None]],
    length: int,
    variances: Mapping[str, Decimal],
) -> Figures:
    axis = slots[:length]
    lines = _lines(case, costs, benefits, length, variances)
    spent = [_sum(lines, "cost", index) for index in range(length)]
    gained = [_sum(lines, "benefit", index) for index in range(length)]
    months = MONTHS[case.body.grain]
    ends: list[date] = [slot.end for slot in axis]
    discount = factors(case.body.discount_rate, months, ends, case.body.convention)
    net = [g - s for g, s in zip(gained, spent, strict=True)]
    discounted = [n * d for n, d in zip(net, discount, strict=True)]
    rows, total = [], Decimal(0)
    for index, slot in enumerate(axis):
        total += net[index]
        rows.append(Row(slot, spent[index], gained[index], total, discounted[index]))
    pv_costs, pv_benefits = present_value(spent, discount), present_value(gained, discount)
    all_costs, all_benefits = sum(spent, Decimal(0)), sum(gained, Decimal(0))
    return Figures(
        npv=pv_benefits - pv_costs,
        pv_costs=pv_costs,
        pv_benefits=pv_benefits,
        roi_tei=ratio(pv_benefits - pv_costs, pv_costs),
        roi_undiscounted=ratio(all_benefits - all_costs, all_costs),
        irr=irr(net, months),
        payback=payback(net, months),
        discounted_payback=payback(discounted, months),
        bcr=ratio(pv_benefits, pv_costs),
        tco=all_costs,
        rows=rows,
        lines=lines,
    )


def _lines(
    case: Case,
    costs: Mapping[str, Sequence[Decimal]],
    benefits: Mapping[str, Sequence[Decimal | None]],
    length: int,
    variances: Mapping[str, Decimal],
) -> list[Line]:
    spent = [
        Line(
            c.cost_id,
            c.name,
            "cost",
            c.category,
            c.phase,
            list(costs[c.cost_id][:length]),
            variances.get(c.cost_id),
        )
        for c in case.costs
    ]
    gained = [
        Line(
            b.benefit_id,
            b.name,
            "benefit",
            b.category,
            b.phase,
            list(benefits[b.benefit_id][:length]),
        )
        for b in case.benefits
    ]
    return spent + gained


def _sum(lines: Sequence[Line], kind: Kind, index: int) -> Decimal:
    amounts = (line.amounts[index] for line in lines if line.kind == kind)
    return sum((a for a in amounts if a is not None), Decimal(0))


def _note_weaknesses(case: Case, findings: list[tuple[str, dict[str, Any]]]) -> None:
    if not case.costs:
        findings.append(("no_costs", {}))
    if not case.benefits:
        findings.append(("no_benefits", {}))
    elif not any(b.audience == "customer" for b in case.benefits):
        findings.append(("no_customer_benefit", {}))
    for benefit in case.benefits:
        if benefit.goal_id is None:
            findings.append(("no_goal", {"benefit": benefit.name}))
        if benefit.evidence == "unverified":
            findings.append(("unverified", {"benefit": benefit.name}))
