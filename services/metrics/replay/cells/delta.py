"""What a run of the ledger changed: the events that count after it and did not before, or back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, and_, or_, select

from services.metrics.replay.frame import Row
from services.metrics.replay.knowledge import Condition, Knowledge, counting, in_range
from services.metrics.replay.raw import COLUMNS, to_row
from services.metrics.tables import backfills, excluded, retractions
from shared.ledger.tables import events


def changed(
    connection: Connection, tenant_id: UUID, after: int, until: int, which: list[Condition]
) -> tuple[list[Row], list[Row]]:
    """Events among `which` that begin to count, and those that cease to, from `after` to `until`.

    Summed over all runs of a ledger these are just the events that count at its end.
    """
    now = counting(connection, tenant_id, Knowledge.at(until))
    query = select(*COLUMNS)
    begun = _rows(connection, query.where(*now, events.c.position > after, *which))
    touched = _touched(connection, tenant_id, after, until) if after else []
    if not touched:
        return begun, []
    older = (events.c.position <= after, or_(*touched), *which)
    before = counting(connection, tenant_id, Knowledge.at(after))
    then = {row.position: row for row in _rows(connection, query.where(*before, *older))}
    still = {row.position: row for row in _rows(connection, query.where(*now, *older))}
    begun += [row for position, row in still.items() if position not in then]
    return begun, [row for position, row in then.items() if position not in still]


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    # In order of position, so that chunks come out the same whenever they are built.
    return [to_row(row) for row in connection.execute(query.order_by(events.c.position))]


def _touched(connection: Connection, tenant_id: UUID, after: int, until: int) -> list[Condition]:
    """Conditions that hold for every older event whose counting may have changed."""
    found: list[Condition] = []
    in_run = (excluded.c.from_position, excluded.c.to_position)
    moved = [
        and_(excluded.c.tenant_id == tenant_id, column > after, column <= until)
        for column in in_run
    ]
    if any(connection.execute(select(excluded.c.position).where(m).limit(1)).all() for m in moved):
        positions = select(excluded.c.position).where(or_(*moved))
        found.append(events.c.position.in_(positions))
    ranges = connection.execute(
        select(retractions).where(
            retractions.c.tenant_id == tenant_id,
            retractions.c.from_position > after,
            retractions.c.from_position <= until,
            retractions.c.event_id.is_(None),
        )
    )
    found += [in_range(row) for row in ranges]
    turned = connection.execute(
        select(backfills.c.backfill_id)
        .where(
            backfills.c.tenant_id == tenant_id,
            backfills.c.from_position > after,
            backfills.c.from_position <= until,
            backfills.c.state.in_(("closed", "reverted")),
        )
        .distinct()
    ).scalars()
    ids = turned.all()
    return [*found, events.c.backfill.in_(ids)] if ids else found
