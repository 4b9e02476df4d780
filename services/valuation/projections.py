"""What the ledger moves: the present and past state of every case."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from services.valuation.domain.case import Case, CaseEvent, evolve
from services.valuation.tables import cases
from shared.events import Event, payload_of
from shared.ledger import Transaction
from shared.ledger.projecting import supersede


def project(transaction: Transaction, appended: Sequence[Event]) -> None:
    """Move the projection by one batch."""
    for event in appended:
        kind, _, identity = (event.stream or "").partition("/")
        if kind != "case":
            continue
        payload = payload_of(event)
        assert isinstance(payload, CaseEvent)
        moved = evolve(_present(transaction, identity) if event.revision != 1 else None, payload)
        keys = {"tenant_id": transaction.tenant_id, "case_id": identity}
        row = {"initiative_id": moved.body.initiative_id, "state": moved.model_dump_json()}
        supersede(transaction.connection, cases, keys, event.position, row)


def _present(transaction: Transaction, identity: str) -> Case:
    state = transaction.connection.execute(
        select(cases.c.state).where(
            cases.c.tenant_id == transaction.tenant_id,
            cases.c.case_id == identity,
            cases.c.to_position.is_(None),
        )
    ).scalar_one()
    return Case.model_validate_json(state)
