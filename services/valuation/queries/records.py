"""Questions about frozen valuations, and about what an organisation's risk degrees stand for."""

from __future__ import annotations

from sqlalchemy import select

from services.valuation.domain.frozen import FrozenValuation
from services.valuation.domain.risk import OwnTable
from services.valuation.tables import records
from shared.errors import NOT_FOUND
from shared.ledger import View
from shared.ledger.projecting import known


def frozen(view: View, identity: str) -> FrozenValuation:
    """A frozen valuation as known at the view; refuses with 404."""
    state = _state(view, "valuation", identity)
    if state is None:
        raise NOT_FOUND.refusal(f"There is no valuation {identity!r}.")
    return FrozenValuation.model_validate_json(state)


def frozen_list(view: View, case_id: str | None, after: str, limit: int) -> list[FrozenValuation]:
    query = select(records.c.state).where(
        records.c.tenant_id == view.tenant_id,
        records.c.kind == "valuation",
        records.c.record_id > after,
        known(records, view.position),
    )
    if case_id is not None:
        query = query.where(records.c.case_id == case_id)
    rows = view.connection.execute(query.order_by(records.c.record_id).limit(limit))
    return [FrozenValuation.model_validate_json(state) for state in rows.scalars()]


def own_table(view: View) -> OwnTable | None:
    """The organisation's risk table as known at the view, if it has stated one."""
    state = _state(view, "risk-table", "own")
    return None if state is None else OwnTable.model_validate_json(state)


def _state(view: View, kind: str, identity: str) -> str | None:
    found = view.connection.execute(
        select(records.c.state).where(
            records.c.tenant_id == view.tenant_id,
            records.c.kind == kind,
            records.c.record_id == identity,
            known(records, view.position),
        )
    ).scalar()
    return None if found is None else str(found)
