"""What a run of the ledger changed: the events that count after it and did not before, or back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, exists, or_, select, union_all

from services.metrics.replay.frame import Row
from services.metrics.replay.knowledge import Condition, Ground, Knowledge, in_range
from services.metrics.replay.raw import COLUMNS, to_row
from services.metrics.tables import excluded
from shared.ledger.tables import events
from shared.periods import Calendar


def changed(
    connection: Connection, ground: Ground, calendar: Calendar, after: int, until: int,
    which: Sequence[Condition],
) -> tuple[list[Row], list[Row]]:  # fmt: skip
    """Events among `which` that begin to count, and those that cease to, from `after` to `until`.

    Summed over all runs of a ledger these are just the events that count at its end.
    """
    if after == until:
        return [], []
    now = ground.counting(Knowledge.at(until))
    query = select(*COLUMNS)
    begun = _rows(connection, calendar, query.where(*now, events.c.position > after, *which))
    touched = _touched(connection, ground, after, until) if after else []
    if not touched:
        return begun, []
    older = (events.c.position <= after, or_(*touched), *which)
    before = ground.counting(Knowledge.at(after))
    then = {row.position: row for row in _rows(connection, calendar, query.where(*before, *older))}
    still = {row.position: row for row in _rows(connection, calendar, query.where(*now, *older))}
    begun += [row for position, row in still.items() if position not in then]
    return begun, [row for position, row in then.items() if position not in still]


def _rows(connection: Connection, calendar: Calendar, query: Select[Any]) -> list[Row]:
    # In order of position, so that chunks come out the same whenever they are built.
    found = connection.execute(query.order_by(events.c.position))
    return [to_row(row, calendar) for row in found]


def _touched(connection: Connection, ground: Ground, after: int, until: int) -> list[Condition]:
    """Conditions that hold for every older event whose counting may have changed."""
    found = [in_range(row) for row in ground.ranges if after < row.from_position <= until]
    turned = {turn.backfill_id for turn in ground.turns if after < turn.begins <= until}
    if turned:
        found.append(events.c.backfill.in_(sorted(turned)))
    moved = union_all(
        *(
            select(excluded.c.position).where(
                excluded.c.tenant_id == ground.tenant_id, column > after, column <= until
            )
            for column in (excluded.c.from_position, excluded.c.to_position)
        )
    )
    if connection.execute(select(exists(moved.subquery()))).scalar():
        found.append(events.c.position.in_(moved))
    return found
