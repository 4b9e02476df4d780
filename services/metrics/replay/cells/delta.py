"""What a run of the ledger changed: the events that count after it and did not before, or back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    case,
    exists,
    false,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)

from services.metrics.replay.cells.sheet import Sheet, Told
from services.metrics.replay.knowledge import Condition, Ground, Knowledge, in_range
from services.metrics.tables import excluded
from shared.asking import Rows, ask_together, many_rows
from shared.ledger.tables import events
from shared.periods import Calendar

COLUMNS = (
    events.c.position, events.c.name, events.c.subject, events.c.source,
    type_coerce(events.c.occurred_at, BigInteger), type_coerce(events.c.occurred_on, String),
    events.c.leaf, events.c.data,
)  # fmt: skip

_AFTER: BindParameter[int] = bindparam("after")
_UNTIL: BindParameter[int] = bindparam("until")
_TENANT: BindParameter[UUID] = bindparam("tenant")
# The events that a run of positions adds: those of backfills count when these are closed.
IN_RUN = (
    select(*COLUMNS)
    .where(
        events.c.tenant_id == _TENANT,
        events.c.position > _AFTER,
        events.c.position <= _UNTIL,
        events.c.backfill.is_(None),
    )
    .order_by(events.c.position)
)
NAMED = events.c.name.in_(bindparam("names", expanding=True))
# A run is short and has a few types; as a case, no planner goes by them.
_NAMED_IN_RUN = many_rows(IN_RUN.where(case((NAMED, true()), else_=false())))
# Events that cease to count in a run, or begin to again.
MOVES = (
    excluded.c.tenant_id == _TENANT,
    or_(
        *(
            and_(column > _AFTER, column <= _UNTIL)
            for column in (excluded.c.from_position, excluded.c.to_position)
        )
    ),
)
MOVED = select(excluded.c.position, excluded.c.from_position, excluded.c.to_position).where(*MOVES)


def added(rows: Rows, moved: Rows, after: int, until: int) -> Sequence[Told] | None:
    """The events that a plain run adds, of those in it; None where older ones moved in it, too."""
    if any(position <= after for position, _, _ in moved):
        return None
    out = {
        position
        for position, begins, ends in moved
        if begins <= until and (ends is None or ends > until)
    }
    return cast(Sequence[Told], [row for row in rows if row[0] not in out] if out else rows)


def folded_run(
    connection: Connection, ground: Ground, calendar: Calendar, after: int, until: int,
    names: Sequence[str],
) -> Sheet:  # fmt: skip
    """What a run changed of some types: as a rule, new events and no others."""
    acting = [*(turn.begins for turn in ground.turns), *(r.from_position for r in ground.ranges)]
    if not any(after < position <= until for position in acting):
        run = {"tenant": ground.tenant_id, "after": after, "until": until}
        rows, moved = ask_together(
            connection, [(_NAMED_IN_RUN, {**run, "names": list(names)}), (MOVED, run)]
        )
        new = added(rows, moved, after, until)
        if new is not None:
            return Sheet(new, [], calendar)
    return changed(connection, ground, calendar, after, until, [events.c.name.in_(names)])


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
