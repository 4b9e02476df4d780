"""Cases: the costs and benefits of one initiative."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Query, Response

from services.valuation import commands, queries
from services.valuation.api.shapes import (
    Actual,
    Case,
    CaseAnswer,
    CaseChange,
    NewActual,
    NewBenefit,
    NewCase,
    NewCost,
    Withdraw,
    shown,
)
from services.valuation.clients import GoalsClient, MetricsClient
from services.valuation.domain.case import (
    TEMPLATES,
    Attribution,
    BenefitLine,
    CaseBody,
    CostLine,
    Input,
    Once,
    Recurring,
)
from services.valuation.domain.case import Case as CaseState
from services.valuation.domain.schedule import slots_of
from services.valuation.queries import BOOKED_COSTS_DEFINITION
from shared.errors import INVALID, Fault, invalid
from shared.expression import FormulaError, names_in, never_works, parse
from shared.ids import did_you_mean, new_id
from shared.ledger import Transaction
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes

router = make_router("cases")


def clients(caller: Caller) -> tuple[GoalsClient, MetricsClient]:
    goals, metrics = caller.runtime.parts["goals"], caller.runtime.parts["metrics"]
    assert isinstance(goals, GoalsClient)
    assert isinstance(metrics, MetricsClient)
    return goals, metrics


@router.post("/cases", status_code=201, response_model=Case)
def create_case(
    body: NewCase, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Open a business case of an initiative."""
    if (stored := caller.replayed()) is not None:
        return stored
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
        return pages.page(view, rows, lambda state: state.case_id, shown)


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
        _demand_on_axis(state, body)
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
    if (stored := caller.replayed()) is not None:
        return stored
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


def _demand_on_axis(state: CaseState, body: NewCost) -> None:
    """A cost that no place of the case's time axis holds would be lost in silence."""
    slots = slots_of(state.body)
    start, end = slots[0].start, slots[-1].end
    if body.once is not None and body.once.on >= end:
        raise invalid("/once/on", f"The case ends before {end}.", "outside")
    recurring = body.recurring
    if recurring is not None and not start <= recurring.from_ < end:
        detail = f"The case runs from {start} to {end} (exclusive); what comes before is `once`."
        raise invalid("/recurring/from", detail, "outside")


def _check_formula(body: NewBenefit, formula: str) -> None:
    try:
        term = parse(formula)
        used = names_in(term)
    except FormulaError as error:
        raise invalid("/formula", str(error), "formula") from error
    faults = []
    if never_works(term):
        faults.append(Fault("/formula", "The formula divides by 0.", "formula"))
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
    `events:write` and `metrics:write`); the same reference is booked once.
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
