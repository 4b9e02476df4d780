"""What the ledger moves: cases, frozen valuations and the risk table, present and past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Table, select

from services.valuation.domain import frozen as freezing
from services.valuation.domain import risk
from services.valuation.domain.case import Case, CaseEvent, evolve
from services.valuation.domain.frozen import FrozenValuation, ValuationFrozen
from services.valuation.domain.risk import OwnTable, RiskTableStated
from services.valuation.tables import cases, records
from shared.events import Event, payload_of
from shared.ledger import Transaction
from shared.ledger.projecting import supersede

_State = TypeVar("_State", bound=BaseModel)


def project(transaction: Transaction, appended: Sequence[Event]) -> None:
    """Move every projection by one batch."""
    for event in appended:
        payload = payload_of(event)
        if isinstance(payload, CaseEvent):
            _project_case(transaction, event, payload)
        elif isinstance(payload, ValuationFrozen):
            kept = freezing.evolve(None, payload)
            _project_record(transaction, event, "valuation", kept, kept.frozen.case_id)
        elif isinstance(payload, RiskTableStated):
            held = records.c.record_id == "own"
            before = _present(transaction, records, held, OwnTable) if event.revision != 1 else None
            _project_record(transaction, event, "risk-table", risk.evolve(before, payload), "")


def _project_case(transaction: Transaction, event: Event, payload: CaseEvent) -> None:
    identity = (event.stream or "").partition("/")[2]
    held = cases.c.case_id == identity
    before = _present(transaction, cases, held, Case) if event.revision != 1 else None
    moved = evolve(before, payload)
    keys = {"tenant_id": transaction.tenant_id, "case_id": identity}
    row = {"initiative_id": moved.body.initiative_id, "state": moved.model_dump_json()}
    supersede(transaction.connection, cases, keys, event.position, row)


def _project_record(
    transaction: Transaction, event: Event, kind: str,
    moved: FrozenValuation | OwnTable, case_id: str,
) -> None:  # fmt: skip
    keys = {"tenant_id": transaction.tenant_id, "kind": kind, "record_id": moved.record_id}
    row = {"case_id": case_id, "state": moved.model_dump_json()}
    supersede(transaction.connection, records, keys, event.position, row)


def _present(
    transaction: Transaction, table: Table, held: ColumnElement[bool], shape: type[_State]
) -> _State:
    state = transaction.connection.execute(
        select(table.c.state).where(
            table.c.tenant_id == transaction.tenant_id, held, table.c.to_position.is_(None)
        )
    ).scalar_one()
    return shape.model_validate_json(state)
