"""Cases: the frame of one initiative's costs and benefits, and what was really booked."""

from __future__ import annotations

import contextlib
from typing import Annotated

from fastapi import Depends, Query, Response

from services.valuation import commands
from services.valuation.api.asking import clients
from services.valuation.api.shapes import (
    MAX_YEARS,
    Actual,
    Case,
    CaseAnswer,
    CaseChange,
    CaseHistory,
    HistoryEntry,
    NewActual,
    NewCase,
    shown,
)
from services.valuation.domain.case import Case as State
from services.valuation.domain.case import CaseBody
from services.valuation.domain.lines import CostLine
from services.valuation.domain.schedule import MONTHS, bookable
from services.valuation.queries import cases as queries
from services.valuation.queries.definitions import (
    BOOKED_COSTS_DEFINITION,
    EXCHANGE_RATES_DEFINITION,
)
from services.valuation.queries.history import history
from shared.errors import Refusal, invalid
from shared.ids import did_you_mean
from shared.ledger import Transaction
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes

router = make_router("cases")


@router.post("/cases", status_code=201, response_model=Case)
def create_case(
    body: NewCase, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Open a business case of an initiative."""
    if (stored := caller.replayed()) is not None:
        return stored
    goals, metrics = clients(caller)
    credential = caller.principal.credential
    goals.initiative(credential, body.initiative_id)
    for definition in (BOOKED_COSTS_DEFINITION, EXCHANGE_RATES_DEFINITION):
        # What an ERP books counts from the first day; who may not define metrics is told later.
        with contextlib.suppress(Refusal):
            metrics.define(credential, definition)

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


@router.get("/cases/{case_id}/history")
def show_case_history(
    case_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))]
) -> CaseHistory:
    """Show who changed what in a case, when and why, in words."""
    with reader.view() as view:
        entries = [
            HistoryEntry.model_validate({**entry._asdict(), "what": entry.what})
            for entry in history(view, case_id)
        ]
        return CaseHistory(
            entries=entries, known_at=view.known_at, basis=view.basis.token, open=view.open
        )


@router.patch("/cases/{case_id}", response_model=Case)
def change_case(
    case_id: str, body: CaseChange, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Change a case's frame, with a reason."""

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, case_id)
        caller.demand_revision(state.revision)
        changes = {name: getattr(body, name) for name in body.model_fields_set - {"reason"}}
        frame = state.body.model_copy(update=changes)
        if frame.periods * MONTHS[frame.grain] > MAX_YEARS * 12:
            raise invalid("/periods", f"A horizon is at most {MAX_YEARS} years.", "outside")
        changed = commands.change_case(transaction, state, frame, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


def _booked_line(state: State, body: NewActual) -> CostLine:
    """The cost that a booking is of; refuses what the case would not count."""
    first, last = bookable(state.body)
    if not first <= body.on < last:
        detail = f"The case counts what is booked from {first} on and before {last}."
        raise invalid("/on", detail, "outside")
    line = next((c for c in state.costs if body.item in (c.name, c.cost_id)), None)
    if line is None:
        near = did_you_mean(body.item, [c.name for c in state.costs])
        raise invalid("/item", f"The case has no cost {body.item!r}.{near}", "unknown_item")
    return line


@router.post("/cases/{case_id}/actuals", status_code=201)
def book_actual(
    case_id: str, body: NewActual, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Actual:
    """Book a cost that was really spent.

    It becomes a `cost.booked` event in metrics, with the caller's credential (which needs
    `events:write` and `metrics:write`); the same reference is booked once, and with another
    content it is refused.
    """
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        state = queries.case(view, case_id)
    line = _booked_line(state, body)
    _, metrics = clients(caller)
    credential = caller.principal.credential
    metrics.define(credential, BOOKED_COSTS_DEFINITION)
    data = {
        "initiative": state.body.initiative_id,
        "phase": body.phase or line.phase,
        "category": body.category if "category" in body.model_fields_set else line.category,
        # By its id, which stays when the line is named otherwise.
        "item": line.cost_id,
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
