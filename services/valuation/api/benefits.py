"""Lines of a case: costs and benefits added, stated anew and withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Response

from services.valuation import commands
from services.valuation.api.asking import world_now
from services.valuation.api.building import benefit_line, cost_line
from services.valuation.api.lines import BenefitTemplates, NewBenefit, NewCost, templates
from services.valuation.api.shapes import Case, Withdraw, shown
from services.valuation.domain.case import Case as CaseState
from services.valuation.domain.lines import BenefitLine, CostLine
from services.valuation.queries import cases as queries
from shared.errors import invalid
from shared.ids import new_id
from shared.ledger import Transaction
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes

router = make_router("cases")
_Line = TypeVar("_Line", CostLine, BenefitLine)
Because = Annotated[
    str, Query(min_length=3, max_length=1_000, description="Why the line is stated anew")
]


@router.get("/benefit-templates")
def list_benefit_templates(
    reader: Annotated[Reader, Depends(reads("valuation:read"))],
) -> BenefitTemplates:
    """List the usual rules by which a change becomes money, with their inputs."""
    return templates()


@router.post("/cases/{case_id}/costs", status_code=201, response_model=Case)
def add_cost(
    case_id: str, body: NewCost, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Add a cost to a case."""
    if (stored := caller.replayed()) is not None:
        return stored
    state = _as_it_is(caller, case_id)
    line = cost_line(world_now(caller), state.body, body, new_id())
    return _written(caller, state, line, commands.add_cost, 201)


@router.put("/cases/{case_id}/costs/{line_id}", response_model=Case)
def change_cost(
    case_id: str, line_id: str, body: NewCost, reason: Because,
    caller: Annotated[Caller, Depends(writes("valuation:write"))],
) -> Response:  # fmt: skip
    """State a cost anew, with a reason; what was stated before stays readable."""
    state = _as_it_is(caller, case_id)
    line = cost_line(world_now(caller), state.body, body, line_id)
    return _written(caller, state, line, _because(commands.change_cost, reason), 200)


@router.post("/cases/{case_id}/benefits", status_code=201, response_model=Case)
def add_benefit(
    case_id: str, body: NewBenefit, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Add a benefit to a case.

    A usage metric is never a factor; every measured input needs a plan; the formula must give
    money; and over all initiatives no more of a movement is claimed than there is.
    """
    if (stored := caller.replayed()) is not None:
        return stored
    state = _as_it_is(caller, case_id)
    line = benefit_line(world_now(caller), state.body, body, new_id())
    return _written(caller, state, line, commands.add_benefit, 201)


@router.put("/cases/{case_id}/benefits/{line_id}", response_model=Case)
def change_benefit(
    case_id: str, line_id: str, body: NewBenefit, reason: Because,
    caller: Annotated[Caller, Depends(writes("valuation:write"))],
) -> Response:  # fmt: skip
    """State a benefit anew, with a reason; what was stated before stays readable."""
    state = _as_it_is(caller, case_id)
    line = benefit_line(world_now(caller), state.body, body, line_id)
    return _written(caller, state, line, _because(commands.change_benefit, reason), 200)


@router.post("/cases/{case_id}/lines/{line_id}/withdraw", response_model=Case)
def withdraw_line(
    case_id: str, line_id: str, body: Withdraw,
    caller: Annotated[Caller, Depends(writes("valuation:write"))],
) -> Response:  # fmt: skip
    """Take a cost or benefit out of a case; its past stays readable."""

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, case_id)
        caller.demand_revision(state.revision)
        changed = commands.withdraw_line(transaction, state, line_id, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


def _as_it_is(caller: Caller, case_id: str) -> CaseState:
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        return queries.case(view, case_id)


def _because(
    command: Callable[[Transaction, CaseState, _Line, str], CaseState], reason: str
) -> Callable[[Transaction, CaseState, _Line], CaseState]:
    return lambda transaction, state, line: command(transaction, state, line, reason)


def _written(
    caller: Caller, checked: CaseState, line: _Line,
    command: Callable[[Transaction, CaseState, _Line], CaseState], status: int,
) -> Response:  # fmt: skip
    """Write a line that was checked against the case's frame, unless the frame changed since."""

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, checked.case_id)
        caller.demand_revision(state.revision)
        if state.body != checked.body:
            raise invalid("", "The case changed while the line was checked; send it again.")
        changed = command(transaction, state, line)
        return Answer(shown(changed), status, changed.revision, f"/v1/cases/{checked.case_id}")

    return caller.command(work)
