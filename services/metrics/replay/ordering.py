"""The order in which facts happened, where their times alone do not tell it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from msgspec.structs import replace
from sqlalchemy import func, select

from services.metrics.replay.frame import Row
from shared.ledger import View
from shared.ledger.rows import LOOKUP_CHUNK
from shared.ledger.tables import events
from shared.periods import ONE_DAY, Calendar

# For positions of versions, where their facts were told of first, if that was in another one.
Firsts = Callable[[Sequence[int]], Mapping[int, int]]


def in_order(rows: Iterable[Row], calendar: Calendar, firsts: Firsts) -> list[Row]:
    """Rows by their moments; of one instant by when their facts were told of first.

    What knows only its day stands, among what happened to the same thing on that day, behind all
    that was told of before it. Only where a thing has several such facts is anything looked up.
    """
    ordered = sorted(rows, key=lambda row: (row.moment, row.position))
    crowds = _crowds(ordered, calendar)
    if not crowds:
        return ordered
    first = firsts([row.position for crowd in crowds for row in crowd])
    placed = {row.position: row for crowd in crowds for row in _placed(crowd, first)}
    return sorted((placed.get(row.position, row) for row in ordered), key=lambda row: row.order)


def _crowds(ordered: Sequence[Row], calendar: Calendar) -> list[list[Row]]:
    """The rows of one thing that share an instant, or a day of which some knows no time."""
    found: list[list[Row]] = []
    for _, run in groupby(ordered, key=_instant_or_day(ordered, calendar)):
        rows = list(run)
        if len(rows) > 1:
            found += _of_one_thing(rows)
    return found


def _instant_or_day(ordered: Sequence[Row], calendar: Calendar) -> Callable[[Row], Any]:
    """By what rows in order of their moments may share a place."""
    days = sorted({row.occurred_on for row in ordered if row.occurred_on is not None})
    if not days or all(row.occurred_on is not None for row in ordered):
        return attrgetter("moment")
    begins = [calendar.instant(day) for day in days]
    ends = [calendar.instant(day + ONE_DAY) for day in days]

    def place(row: Row) -> Any:
        last = bisect_right(begins, row.moment) - 1
        return begins[last] if last >= 0 and row.moment < ends[last] else row.moment

    return place


def _of_one_thing(rows: Sequence[Row]) -> list[list[Row]]:
    together: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        # Figures have no subject of their own, but a name.
        thing = row.subject or row.fields.get("figure")
        if thing:
            together[str(thing)].append(row)
    return [crowd for crowd in together.values() if len(crowd) > 1]


def _placed(crowd: Sequence[Row], first: Mapping[int, int]) -> list[Row]:
    """Each row with its rank; a day without time behind the latest moment that was told before."""
    ranked = [replace(row, first=first.get(row.position, 0)) for row in crowd]
    found, latest = [], None
    for row in sorted(ranked, key=lambda one: one.rank):
        if row.occurred_on is None:
            latest = row.moment if latest is None else max(latest, row.moment)
        elif latest is not None:
            row = replace(row, placed=max(latest, row.moment))
        found.append(row)
    return found


def first_versions(view: View, positions: Sequence[int]) -> dict[int, int]:
    """Of versions that are not the first of their facts, where these were told of first."""
    version, first = events.alias("version"), events.alias("first")
    found: dict[int, int] = {}
    for start in range(0, len(positions), LOOKUP_CHUNK):
        rows = view.connection.execute(
            select(version.c.position, func.min(first.c.position))
            .join(
                first,
                (first.c.tenant_id == version.c.tenant_id)
                & (first.c.source == version.c.source)
                & (first.c.event_id == version.c.event_id),
            )
            .where(
                version.c.tenant_id == view.tenant_id,
                version.c.position.in_(positions[start : start + LOOKUP_CHUNK]),
                version.c.sequence != "",
                first.c.position < version.c.position,
            )
            .group_by(version.c.position)
        )
        found.update((position, told) for position, told in rows)
    return found
