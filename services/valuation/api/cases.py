"""Cases: the costs and benefits of one initiative."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import Field, model_validator

from services.valuation import commands, queries
from services.valuation.clients import GoalsClient, MetricsClient
from services.valuation.domain.case import (
    Attribution,
    BenefitLine,
    CaseBody,
    CostLine,
    Input,
    Once,
    Recurring,
)
from services.valuation.domain.case import (
    Case as State,
)
from services.valuation.domain.formula import TEMPLATES, FormulaError, names_in, parse
from services.valuation.queries import BOOKED_COSTS_DEFINITION
from shared.errors import INVALID, Fault, invalid
from shared.ids import did_you_mean, new_id
from shared.ledger import Transaction
from shared.money import Currency, DecimalString
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Id, Key, Known, Name, Reason, Wire

router = make_router("cases")
Share = Annotated[DecimalString, Field(ge=0, le=1)]
Category = Literal[
    "licence", "hardware", "implementation", "training", "maintenance", "upgrade",
    "internal_labour", "integration", "migration", "support", "change_management",
    "productivity_dip", "other",
]  # fmt: skip
BenefitCategory = Literal[
    "cashable", "cost_avoidance", "revenue", "working_capital", "soft_time", "non_financial"
]
MAX_PERIODS = 120


class NewCase(Wire):
    """A business case to be opened."""

    initiative_id: Id = Field(description="The initiative, in goals")
    name: Name = Field(description="Name", examples=["CRM roll-out, base case"])
    currency: Currency = Field(description="Currency of every amount")
    start: date = Field(description="First day of the first period", examples=["2025-01-01"])
    grain: Literal["month", "quarter", "year"] = Field("year", description="Length of a period")
    periods: Annotated[int, Field(strict=True, ge=1, le=MAX_PERIODS)] = Field(
        3, description="Number of periods"
    )
    discount_rate: Annotated[DecimalString, Field(gt=-1, le=10)] = Field(
        description="Yearly rate as a fraction", examples=["0.10"]
    )
    convention: Literal["end_of_period", "mid_period", "exact_dates"] = Field(
        "end_of_period", description="When flows are discounted; the start never is"
    )


class CaseChange(Wire):
    """What should change; what is left out stays."""

    name: Name | None = Field(None, description="Name")
    discount_rate: Annotated[DecimalString, Field(gt=-1, le=10)] | None = Field(
        None, description="Yearly rate as a fraction"
    )
    convention: Literal["end_of_period", "mid_period", "exact_dates"] | None = Field(
        None, description="When flows are discounted"
    )
    reason: Reason = Field(description="Why it changes")


class OnceBody(Wire):
    """A cost that falls due once."""

    on: date = Field(description="When")
    amount: DecimalString = Field(description="How much")


class RecurringBody(Wire):
    """A cost that comes back."""

    from_: date = Field(alias="from", description="First time")
    to: date = Field(description="Not after (exclusive)")
    every: Literal["P1M", "P3M", "P1Y"] = Field(description="How often")
    amount: DecimalString = Field(description="How much each time")
    indexation: Annotated[DecimalString, Field(gt=-1, le=10)] = Field(
        Decimal(0), description="Yearly rise as a fraction"
    )

    @model_validator(mode="after")
    def _in_order(self) -> RecurringBody:
        if self.from_ >= self.to:
            raise ValueError("`from` must lie before `to`")
        return self


class NewCost(Wire):
    """A cost, by exactly one of three plans."""

    name: Name = Field(description="Name; booked costs find their line by it")
    category: Category = Field(description="Kind of cost", examples=["licence"])
    amounts: (
        Annotated[list[DecimalString], Field(min_length=1, max_length=MAX_PERIODS + 1)] | None
    ) = Field(None, description="The first is initial, then one per period")
    once: OnceBody | None = Field(None, description="Or once")
    recurring: RecurringBody | None = Field(None, description="Or again and again")
    risk: Annotated[DecimalString, Field(ge=0, le=10)] = Field(
        Decimal(0), description="Upward adjustment as a fraction"
    )
    phase: Name | None = Field(None, description="Phase of the initiative")

    @model_validator(mode="after")
    def _one_plan(self) -> NewCost:
        if sum(p is not None for p in (self.amounts, self.once, self.recurring)) != 1:
            raise ValueError("name exactly one of amounts, once and recurring")
        return self


class MetricChangeBody(Wire):
    """A metric's change against a frozen baseline."""

    metric: Key = Field(description="Key of the metric")
    baseline_id: Id = Field(description="The baseline, in metrics")


class MetricBody(Wire):
    """A metric's value per period."""

    key: Key = Field(description="Key of the metric")
    where: dict[str, Any] | None = Field(None, description="A FILTER, besides the metric's own")


class InputBody(Wire):
    """A named input: exactly one of the four."""

    metric_change: MetricChangeBody | None = Field(None, description="Change against a baseline")
    metric: MetricBody | None = Field(None, description="A metric's value")
    curve: Annotated[list[DecimalString], Field(min_length=1, max_length=MAX_PERIODS)] | None = (
        Field(None, description="A figure per period; the last one holds on")
    )
    value: DecimalString | None = Field(None, description="A constant")
    unit: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Unit of the figures"
    )

    @model_validator(mode="after")
    def _one_source(self) -> InputBody:
        given = (self.metric_change, self.metric, self.curve, self.value)
        if sum(g is not None for g in given) != 1:
            raise ValueError("name exactly one of metric_change, metric, curve and value")
        return self


class AdoptionBody(Wire):
    """How the effect ramps up."""

    curve: Annotated[list[Share], Field(min_length=1, max_length=MAX_PERIODS)] = Field(
        description="Share of full effect per period; the last one holds on"
    )


class AttributionBody(Wire):
    """The share that is due to this initiative."""

    share: Share = Field(description="From 0 to 1")
    reason: Reason = Field(description="Why this share")


class NewBenefit(Wire):
    """A rule that turns a metric's change into money."""

    name: Name = Field(description="Name, with a word of change", examples=["More deals won"])
    category: BenefitCategory = Field(description="What kind of money it is")
    audience: Literal["customer", "prospect", "stakeholder", "business"] = Field(
        "business", description="Whose value it is"
    )
    template: Literal["rate-uplift"] | None = Field(
        None, description="`rate-uplift`: change x volume x value x margin"
    )
    formula: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None,
        description="Or a formula over the inputs, with + - * / ( )",
        examples=["change * volume * value * margin"],
    )
    inputs: Annotated[dict[str, InputBody], Field(min_length=1, max_length=20)] = Field(
        description="What the formula's names stand for"
    )
    planned: Annotated[dict[str, InputBody], Field(max_length=20)] = Field(
        default_factory=dict, description="The plan for every input that is measured"
    )
    adoption: AdoptionBody | None = Field(None, description="Ramp of the plan; default: at once")
    capture: Share = Field(Decimal(1), description="Share of the effect that is really used")
    attribution: AttributionBody | None = Field(None, description="Share due to this initiative")
    risk: Share = Field(Decimal(0), description="Downward adjustment of the plan")
    goal_id: Id | None = Field(None, description="The goal that promises it")
    evidence: Literal["verified", "conditional", "unverified"] = Field(
        "unverified", description="How sure the rule is"
    )
    phase: Name | None = Field(None, description="Phase of the initiative")

    @model_validator(mode="after")
    def _one_rule(self) -> NewBenefit:
        if (self.template is None) == (self.formula is None):
            raise ValueError("name either `template` or `formula`")
        return self


class Cost(NewCost):
    """A cost of a case."""

    id: str = Field(description="Id of the line")


class Benefit(NewBenefit):
    """A benefit of a case."""

    id: str = Field(description="Id of the line")


class Case(NewCase):
    """A business case."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Number of changes; the ETag")
    costs: list[Cost] = Field(description="Costs")
    benefits: list[Benefit] = Field(description="Benefits")


class CaseAnswer(Known):
    """A case as known at a basis."""

    case: Case = Field(description="The case")


class NewActual(Wire):
    """A cost that was really booked."""

    item: Name = Field(description="Name or id of the cost")
    amount: DecimalString = Field(description="Amount in the case's currency")
    on: date = Field(description="Booking day")
    reference: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="The voucher: the same one is booked once"
    )
    category: Category = Field("other", description="Kind of cost")
    phase: Name | None = Field(None, description="Phase of the initiative")


class Actual(Wire):
    """A booked cost."""

    status: str = Field(description="accepted, or duplicate when it was booked before")
    position: int | None = Field(description="Position in the metrics ledger")


class Withdraw(Wire):
    """Why a line leaves the case."""

    reason: Reason = Field(description="Why")


def clients(caller: Caller) -> tuple[GoalsClient, MetricsClient]:
    goals, metrics = caller.runtime.parts["goals"], caller.runtime.parts["metrics"]
    assert isinstance(goals, GoalsClient)
    assert isinstance(metrics, MetricsClient)
    return goals, metrics


def shown(state: State) -> Case:
    """A case as the API shows it."""
    return Case.model_validate(
        {
            **state.body.model_dump(),
            "id": state.case_id,
            "revision": state.revision,
            "costs": [_shown_cost(line) for line in state.costs],
            "benefits": [_shown_benefit(line) for line in state.benefits],
        }
    )


def _shown_cost(line: CostLine) -> dict[str, Any]:
    body = line.model_dump()
    body["id"] = body.pop("cost_id")
    if body["recurring"] is not None:
        body["recurring"]["from"] = body["recurring"].pop("from_")
    return body


def _shown_benefit(line: BenefitLine) -> dict[str, Any]:
    body = line.model_dump()
    body["id"] = body.pop("benefit_id")
    body["adoption"] = {"curve": body["adoption"]}
    if body["template"] is not None:
        body["formula"] = None
    return body


@router.post("/cases", status_code=201, response_model=Case)
def create_case(
    body: NewCase, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Open a business case of an initiative."""
    goals, _ = clients(caller)
    goals.initiative(caller.principal.credential, body.initiative_id)

    def work(transaction: Transaction) -> Answer:
        state = commands.open_case(transaction, CaseBody.model_validate(body.model_dump()))
        return Answer(shown(state), 201, state.revision, f"/v1/cases/{state.case_id}")

    return caller.command(work)


@router.get("/cases")
def list_cases(
    reader: Annotated[Reader, Depends(reads("valuation:read"))],
    pages: Pages,
    initiative_id: Annotated[
        str | None, Query(max_length=36, description="Only of this one")
    ] = None,
) -> Page[Case]:
    """List cases, oldest first."""
    with reader.view() as view:
        rows = queries.case_list(view, initiative_id, pages.text_after(), pages.limit + 1)
        return Page(
            items=[shown(state) for state in rows[: pages.limit]],
            next_cursor=pages.next_cursor(rows, lambda state: state.case_id),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.get("/cases/{case_id}")
def get_case(
    case_id: str, response: Response, reader: Annotated[Reader, Depends(reads("valuation:read"))]
) -> CaseAnswer:
    """Show a case with its lines."""
    with reader.view() as view:
        state = queries.case(view, case_id)
        response.headers["ETag"] = f'"{state.revision}"'
        return CaseAnswer(
            case=shown(state), known_at=view.known_at, basis=view.basis.token, open=view.open
        )


@router.patch("/cases/{case_id}", response_model=Case)
def change_case(
    case_id: str, body: CaseChange, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Change a case's frame, with a reason."""

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, case_id)
        caller.demand_revision(state.revision)
        changes = body.model_dump(exclude_unset=True, exclude={"reason"})
        frame = state.body.model_copy(update=changes)
        changed = commands.change_case(transaction, state, frame, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.post("/cases/{case_id}/costs", status_code=201, response_model=Case)
def add_cost(
    case_id: str, body: NewCost, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Add a cost to a case."""

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, case_id)
        caller.demand_revision(state.revision)
        if body.amounts is not None and len(body.amounts) > state.body.periods + 1:
            detail = (
                f"The case has {state.body.periods} periods and a start; that is one amount each."
            )
            raise invalid("/amounts", detail, "too_many")
        line = CostLine(
            cost_id=new_id(),
            name=body.name,
            category=body.category,
            amounts=body.amounts,
            once=Once(**body.once.model_dump()) if body.once else None,
            recurring=Recurring(**body.recurring.model_dump()) if body.recurring else None,
            risk=body.risk,
            phase=body.phase,
        )
        changed = commands.add_cost(transaction, state, line)
        return Answer(shown(changed), 201, changed.revision, f"/v1/cases/{case_id}")

    return caller.command(work)


@router.post("/cases/{case_id}/benefits", status_code=201, response_model=Case)
def add_benefit(
    case_id: str, body: NewBenefit, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Add a benefit to a case.

    A usage metric is never a factor; every measured input needs a plan.
    """
    formula = body.formula or TEMPLATES[body.template or ""]
    _check_formula(body, formula)
    _check_sources(caller, body)

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, case_id)
        caller.demand_revision(state.revision)
        attribution = body.attribution
        line = BenefitLine(
            benefit_id=new_id(),
            name=body.name,
            category=body.category,
            audience=body.audience,
            template=body.template,
            formula=formula,
            inputs={n: Input(**i.model_dump()) for n, i in body.inputs.items()},
            planned={n: Input(**i.model_dump()) for n, i in body.planned.items()},
            adoption=body.adoption.curve if body.adoption else [Decimal(1)],
            capture=body.capture,
            attribution=Attribution(**attribution.model_dump())
            if attribution
            else Attribution(share=Decimal(1), reason="not stated"),
            risk=body.risk,
            goal_id=body.goal_id,
            evidence=body.evidence,
            phase=body.phase,
        )
        changed = commands.add_benefit(transaction, state, line)
        return Answer(shown(changed), 201, changed.revision, f"/v1/cases/{case_id}")

    return caller.command(work)


def _check_formula(body: NewBenefit, formula: str) -> None:
    try:
        used = names_in(parse(formula))
    except FormulaError as error:
        raise invalid("/formula", str(error), "formula") from error
    faults = []
    for name in sorted(used - body.inputs.keys()):
        detail = f"The formula uses {name!r}, which is no input.{did_you_mean(name, body.inputs)}"
        faults.append(Fault("/formula", detail, "unknown_input"))
    for name in sorted(body.inputs.keys() - used):
        faults.append(Fault(f"/inputs/{name}", "The formula does not use this input.", "unused"))
    for name, source in body.inputs.items():
        planned = body.planned.get(name)
        if source.metric_change is not None or source.metric is not None:
            if planned is None:
                detail = "A measured input needs its plan."
                faults.append(Fault(f"/planned/{name}", detail, "missing"))
            elif planned.curve is None and planned.value is None:
                faults.append(Fault(f"/planned/{name}", "A plan is a curve or a value.", "plan"))
    for name in sorted(body.planned.keys() - body.inputs.keys()):
        faults.append(Fault(f"/planned/{name}", "This is no input.", "unknown_input"))
    if faults:
        raise INVALID.refusal(faults[0].detail, faults)


def _check_sources(caller: Caller, body: NewBenefit) -> None:
    """The metrics, baselines and goal that a benefit names must be there, and no usage metric."""
    goals, metrics = clients(caller)
    credential = caller.principal.credential
    for name, source in body.inputs.items():
        change = source.metric_change
        key = change.metric if change else source.metric.key if source.metric else None
        if key is None:
            continue
        if metrics.metric(credential, key).nature == "usage":
            detail = f"{key!r} measures usage; usage is not value and can't be turned into money."
            raise invalid(f"/inputs/{name}", detail, "usage_metric")
        if change is not None:
            frozen = metrics.baseline(credential, change.baseline_id)
            if frozen.metric != change.metric:
                detail = f"The baseline is one of {frozen.metric!r}, not of {change.metric!r}."
                raise invalid(f"/inputs/{name}/metric_change/baseline_id", detail, "other_metric")
    if body.goal_id is not None:
        goals.goal(credential, body.goal_id)


@router.post("/cases/{case_id}/lines/{line_id}/withdraw", response_model=Case)
def withdraw_line(
    case_id: str,
    line_id: str,
    body: Withdraw,
    caller: Annotated[Caller, Depends(writes("valuation:write"))],
) -> Response:
    """Take a cost or benefit out of a case; its past stays readable."""

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, case_id)
        caller.demand_revision(state.revision)
        changed = commands.withdraw_line(transaction, state, line_id, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.post("/cases/{case_id}/actuals", status_code=201)
def book_actual(
    case_id: str, body: NewActual, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Actual:
    """Book a cost that was really spent.

    It becomes a `cost.booked` event in metrics, with the caller's credential (which needs
    `events:write`, and `metrics:write` for the first one); the same reference is booked once.
    """
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        state = queries.case(view, case_id)
    if body.item not in {c.name for c in state.costs} | {c.cost_id for c in state.costs}:
        near = did_you_mean(body.item, [c.name for c in state.costs])
        raise invalid("/item", f"The case has no cost {body.item!r}.{near}", "unknown_item")
    _, metrics = clients(caller)
    credential = caller.principal.credential
    metrics.define(credential, BOOKED_COSTS_DEFINITION)
    data = {
        "initiative": state.body.initiative_id,
        "phase": body.phase,
        "category": body.category,
        "item": body.item,
        "amount": format(body.amount, "f"),
        "currency": state.body.currency,
        "reference": body.reference,
    }
    stored = metrics.push(
        credential,
        {
            "specversion": "1.0",
            "type": "cost.booked",
            "source": f"/cases/{case_id}",
            "id": body.reference,
            "subject": f"initiative/{state.body.initiative_id}",
            "occurredon": body.on.isoformat(),
            "data": data,
        },
    )
    return Actual(status=stored.status, position=stored.position)
