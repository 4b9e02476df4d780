"""Since when there are data: in the world, and in our knowledge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from services.metrics.replay.raw import Reading
from services.metrics.tables import spans
from shared.ledger.tables import events


@dataclass(frozen=True)
class Since:
    """From when on there are data of the sources that feed a metric."""

    first_day: date | None
    answered_from: datetime | None = None


def data_since(reading: Reading, names: Iterable[str]) -> Since:
    """Since when the sources that send some types have sent anything that counts."""
    wanted = frozenset(names)
    if wanted not in reading.since:
        reading.since[wanted] = _data_since(reading, sorted(wanted))
    found: Since = reading.since[wanted]
    return found


def history_since(reading: Reading, names: Iterable[str]) -> date | None:
    """The day before which a source of some types keeps no complete history, where one is loaded.

    Costs nothing where no backfill says so.
    """
    k = reading.knowledge.backfills
    told = [
        turn.kept
        for turn in reading.ground.turns
        if turn.kept is not None
        and ((turn.closed and turn.holds(k)) or turn.backfill_id == reading.shown)
    ]
    # Only deals have a history that is loaded.
    kept = sorted(name for name in names if name.startswith("crm.opportunity."))
    if not told or not kept:
        return None
    feeding = reading.view.connection.execute(
        select(spans.c.source).where(
            spans.c.tenant_id == reading.view.tenant_id,
            spans.c.name.in_(kept),
            spans.c.from_position <= reading.view.position,
        )
    )
    sources = set(feeding.scalars())
    begins = [moment for source, moment in told if source in sources]
    return reading.calendar.day_of(max(begins)) if begins else None


def _data_since(reading: Reading, names: list[str]) -> Since:
    connection, owned = reading.view.connection, spans.c.tenant_id == reading.view.tenant_id
    feeding = select(spans.c.source).where(
        owned, spans.c.name.in_(names), spans.c.from_position <= reading.view.position
    )
    candidates = connection.execute(
        select(spans.c.source, spans.c.name, spans.c.first_occurred_at)
        .where(
            owned,
            spans.c.source.in_(feeding),
            spans.c.from_position <= reading.view.position,
        )
        .order_by(spans.c.first_occurred_at.desc())
    ).all()
    # A span tells the earliest fact ever seen; of those that no longer count the next is looked up.
    earliest = {(row.source, row.name): row.first_occurred_at for row in candidates}
    first: tuple[datetime, date | None] | None = None
    for (source, name), moment in sorted(earliest.items(), key=lambda item: item[1]):
        if first is not None and moment >= first[0]:
            break
        found = _first_counting(reading, source, name, moment)
        if found is not None and (first is None or found[0] < first[0]):
            first = found
    if first is not None:
        return Since(first[1] or reading.calendar.day_of(first[0]))
    later = connection.execute(
        select(events.c.recorded_at)
        .join(
            spans,
            (spans.c.tenant_id == events.c.tenant_id)
            & (spans.c.from_position == events.c.position),
        )
        .where(owned, spans.c.name.in_(names), spans.c.from_position > reading.view.position)
        .order_by(events.c.position)
        .limit(1)
    ).scalar()
    return Since(None, later)


def _first_counting(
    reading: Reading, source: str, name: str, moment: datetime
) -> tuple[datetime, date | None] | None:
    row = reading.view.connection.execute(
        select(events.c.occurred_at, events.c.occurred_on)
        .where(
            *reading.counting,
            events.c.name == name,
            events.c.source == source,
            events.c.occurred_at >= moment,
        )
        .order_by(events.c.occurred_at)
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.occurred_at, row.occurred_on)
