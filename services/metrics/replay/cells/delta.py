"""What a run of the ledger changed: the events that count after it and did not before, or back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    String,
    exists,
    or_,
    select,
    type_coerce,
    union_all,
)

from services.metrics.replay.cells.sheet import Sheet, Told
from services.metrics.replay.knowledge import Condition, Ground, Knowledge, in_range
from services.metrics.tables import excluded
from shared.ledger.tables import events
from shared.periods import Calendar

COLUMNS = (
    events.c.position, events.c.name, events.c.subject, events.c.source,
    type_coerce(events.c.occurred_at, BigInteger), type_coerce(events.c.occurred_on, String),
    events.c.leaf, events.c.data,
)  # fmt: skip


def changed(
    connection: Connection, ground: Ground, calendar: Calendar, after: int, until: int,
    which: Sequence[Condition],
) -> Sheet:  # fmt: skip
    """Events among `which` that begin to count, and those that cease to, from `after` to `until`.

    Summed over all runs of a ledger these are just the events that count at its end.
    """
    if after == until:
        return Sheet([], [], calendar)
    now = ground.counting(Knowledge.at(until))
    query = select(*COLUMNS)
    begun = _rows(connection, query.where(*now, events.c.position > after, *which))
    touched = _touched(connection, ground, after, until) if after else []
    if not touched:
        return Sheet(begun, [], calendar)
    older = (events.c.position <= after, or_(*touched), *which)
    before = ground.counting(Knowledge.at(after))
    then = {row[0]: row for row in _rows(connection, query.where(*before, *older))}
    still = {row[0]: row for row in _rows(connection, query.where(*now, *older))}
    begun += [row for position, row in still.items() if position not in then]
    ended = [row for position, row in then.items() if position not in still]
    return Sheet(begun, ended, calendar)


def _rows(connection: Connection, query: Select[Any]) -> list[Told]:
    # In order of position, so that chunks come out the same whenever they are built.
    found = connection.execute(query.order_by(events.c.position)).all()
    return cast(list[Told], found)


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
