"""The raw path: the counting events of a span, straight from the ledger; the oracle of replay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from sqlalchemy import and_, exists, not_, or_, select

from services.metrics.replay.frame import Row
from services.metrics.tables import excluded, retractions
from shared.chain import parse_json
from shared.clock import midnight_utc
from shared.ledger import View
from shared.ledger.tables import events

_COLUMNS = (
    events.c.position, events.c.name, events.c.subject, events.c.source,
    events.c.occurred_at, events.c.occurred_on, events.c.leaf, events.c.data,
)  # fmt: skip


def counting(view: View) -> list[object]:
    """The conditions under which an event counts as known at a view.

    It is recorded, not superseded by a higher sequence, not retracted on its own or with a range
    of its source, and not part of a backfill that is not closed.
    """
    position = view.position
    conditions: list[object] = [
        events.c.tenant_id == view.tenant_id,
        events.c.position <= position,
        events.c.backfill.is_(None),
        ~exists().where(
            excluded.c.tenant_id == view.tenant_id,
            excluded.c.position == events.c.position,
            excluded.c.from_position <= position,
            or_(excluded.c.to_position.is_(None), excluded.c.to_position > position),
        ),
    ]
    ranges = view.connection.execute(
        select(retractions).where(
            retractions.c.tenant_id == view.tenant_id,
            retractions.c.from_position <= position,
            retractions.c.event_id.is_(None),
        )
    ).all()
    for row in ranges:
        inside = [events.c.source == row.source, events.c.position < row.from_position]
        if row.starts_at is not None:
            inside.append(events.c.occurred_at >= row.starts_at)
        if row.ends_at is not None:
            inside.append(events.c.occurred_at < row.ends_at)
        conditions.append(not_(and_(*inside)))
    return conditions


def within(start: tuple[datetime, date] | None, end: tuple[datetime, date]) -> object:
    """Occurred in a half-open span; events that know only a date are compared by date."""
    timed = [events.c.occurred_on.is_(None), events.c.occurred_at < end[0]]
    dated = [events.c.occurred_on.is_not(None), events.c.occurred_at < midnight_utc(end[1])]
    if start is not None:
        timed.append(events.c.occurred_at >= start[0])
        dated.append(events.c.occurred_at >= midnight_utc(start[1]))
    return or_(and_(*timed), and_(*dated))


def fetch(
    view: View,
    names: Iterable[str],
    start: tuple[datetime, date] | None,
    end: tuple[datetime, date],
) -> list[Row]:
    """The counting events of these types in a span, in order of occurrence, then position."""
    rows = view.connection.execute(
        select(*_COLUMNS)
        .where(*counting(view), events.c.name.in_(sorted(set(names))), within(start, end))  # type: ignore[arg-type]
        .order_by(events.c.occurred_at, events.c.position)
    )
    return [to_row(row) for row in rows]


def to_row(row: Sequence[object]) -> Row:
    position, name, subject, source, occurred_at, occurred_on, leaf, data = row
    return Row(
        position, name, subject, source, occurred_at, occurred_on, leaf, parse_json(data),  # type: ignore[arg-type]
    )  # fmt: skip
