"""`had` and `then`: whether another event came before or comes after, by subject or field."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.metrics.domain.filters import (
    Filter,
    HadFilter,
    Predicate,
    RelatedFilter,
    ThenFilter,
    compile_filter,
    join_fields,
    lookup,
    step_of,
)
from services.metrics.domain.windows import Window, parse_window
from services.metrics.replay.frame import ROW, UNTIL, Frame, Row, shown, view_of
from shared.clock import MICROSECOND

History = Callable[[Sequence[str]], Sequence[Row]]
Place = tuple[datetime, int]
_AFTER_ALL = 1 << 62
Firsts = Callable[[Sequence[int]], Mapping[int, int]]


@dataclass
class Places:
    """Where in time other events stand: those with a time, and those that know only their day."""

    timed: list[Place] = field(default_factory=list)
    dated: list[Place] = field(default_factory=list)


_NOWHERE = Places()


class Related:
    """Compiles filters that look at other events, and remembers where a window was open."""

    def __init__(
        self, history: History, frame: Frame, known_at: datetime, own: Sequence[str],
        firsts: Firsts,
    ) -> None:  # fmt: skip
        self._history, self._firsts = history, firsts
        self._own = own
        self._ranks: dict[int, int] = {}
        self._frame = frame
        self._known_at = known_at
        self.pending: set[int] = set()

    def __call__(self, related: RelatedFilter) -> Predicate:
        mine, _ = join_fields(related.by)
        places = self._places(related, step_of(related).where)
        window = parse_window(related.within) if related.within else None
        match related:
            case HadFilter(which="last"):
                every = self._places(related, None)
                return lambda fields: self._had_last(
                    every.get(_key(fields, mine), _NOWHERE),
                    places.get(_key(fields, mine), _NOWHERE), fields, related, window,
                )  # fmt: skip
            case HadFilter():
                return lambda fields: self._had(
                    places.get(_key(fields, mine), _NOWHERE), fields, related, window
                )
            case ThenFilter():
                return lambda fields: self._then(
                    places.get(_key(fields, mine), _NOWHERE), fields, window
                )

    def _places(self, related: RelatedFilter, where: Filter | None) -> Mapping[str | None, Places]:
        """Where in time those of the other events stand that pass, per value that joins them."""
        step, (_, theirs) = step_of(related), join_fields(related.by)
        passes = compile_filter(where, self)
        self._look_up_ranks(step.events)
        found: dict[str | None, Places] = defaultdict(Places)
        for row in self._history(step.events):
            fields = view_of(row)
            key = _key(fields, theirs)
            if key is not None and passes(fields):
                kind = found[key].timed if row.occurred_on is None else found[key].dated
                kind.append((row.moment, self._rank(row)))
        for places in found.values():
            places.timed.sort()
            places.dated.sort()
        return found

    def _look_up_ranks(self, names: Sequence[str]) -> None:
        """Where the facts that share a day with others, and know no time, were told of first."""
        both = [*self._history([*names]), *self._history(self._own)]
        dated = {row.occurred_on for row in both} - {None}
        if dated:
            at = [row.position for row in both if self._frame.day_of(row) in dated]
            self._ranks.update(self._firsts(at))

    def _rank(self, row: Row) -> int:
        # Within the days that matter all ranks were looked up together, when the places were.
        return self._ranks.get(row.position, row.position)

    def _had(
        self, places: Places, fields: Mapping[str, Any], asked: HadFilter, window: Window | None
    ) -> bool:
        end = self._end(fields, asked)
        if end is None:
            return False
        row: Row = fields[ROW]
        begin = window.before(end[0], self._frame.calendar) if window else None
        dawn = self._frame.dawn(begin) if begin else None
        if UNTIL in fields or asked.before == "period":
            return _any_between(places.timed, begin, end) or _any_between(places.dated, dawn, end)
        if row.occurred_on is None:
            # Dates are compared with dates; what happened on one day goes by position.
            day = (self._frame.dawn(row.moment), self._rank(row))
            return _any_between(places.timed, begin, end) or _any_between(places.dated, dawn, day)
        return (
            _any_between(places.dated, dawn, end)
            or _any_between(places.timed, dawn, (row.moment, -1))
            or any(position < self._rank(row) for _, position in self._of_day(places.timed, row))
        )

    def _had_last(
        self, every: Places, passing: Places, fields: Mapping[str, Any], asked: HadFilter,
        window: Window | None,
    ) -> bool:  # fmt: skip
        """Whether the last of all the other events before the period is one of those that pass."""
        end = self._end(fields, asked)
        last = _last_before(every, end) if end else None
        if end is None or last is None or last != _last_before(passing, end):
            return False
        if window is None:
            return True
        begin = window.before(end[0], self._frame.calendar)
        # What knows only its day is compared by days.
        return last[0] >= (self._frame.dawn(begin) if last[2] else begin)

    def _of_day(self, places: Sequence[Place], row: Row) -> Sequence[Place]:
        """The places on the day of an event that has no time."""
        dusk = self._frame.dusk(row.moment)
        return places[bisect_left(places, (row.moment, -1)) : bisect_left(places, (dusk, -1))]

    def _end(self, fields: Mapping[str, Any], asked: HadFilter) -> Place | None:
        """Before which place the other event must stand."""
        until: datetime | None = fields.get(UNTIL)
        row: Row = fields[ROW]
        if asked.before == "period":
            index = self._frame.ends.index(until) if until else self._frame.index_of(row)
            return None if index is None else (self._frame.starts[index], -1)
        if until is not None:
            return (until, -1)
        return (row.moment, self._rank(row))

    def _then(self, places: Places, fields: Mapping[str, Any], window: Window | None) -> bool:
        row: Row = fields[ROW]
        end = window.after(row.moment, self._frame.calendar) if window else None
        dusk = self._frame.dusk(end) - MICROSECOND if end else None
        if self._follows(places, row, end, dusk):
            return True
        closes = end if row.occurred_on is None else dusk
        if closes is None or closes > self._known_at:
            index = self._frame.index_of(row)
            if index is not None:
                self.pending.add(index)
        return False

    def _follows(
        self, places: Places, row: Row, end: datetime | None, dusk: datetime | None
    ) -> bool:
        own = (row.moment, self._rank(row))
        if row.occurred_on is None:
            day = (self._frame.dawn(row.moment), self._rank(row))
            return _any_after(places.timed, own, end) or _any_after(places.dated, day, dusk)
        next_day = (self._frame.dusk(row.moment), -1)
        return (
            _any_after(places.dated, own, dusk)
            or _any_after(places.timed, next_day, dusk)
            or any(position > self._rank(row) for _, position in self._of_day(places.timed, row))
        )


def _last_before(places: Places, end: Place) -> tuple[datetime, int, bool] | None:
    """The last place before an end, and whether it knows only its day.

    On one day those with a time come after those without.
    """
    kinds = ((places.timed, False), (places.dated, True))
    lasts = ((kind, bisect_left(kind, end), dated) for kind, dated in kinds)
    return max(((*kind[count - 1], dated) for kind, count, dated in lasts if count), default=None)


def _any_between(places: Sequence[Place], begin: datetime | None, end: Place) -> bool:
    """Whether the last of the places before an end is not before a beginning."""
    last = bisect_left(places, end)
    return last > 0 and (begin is None or places[last - 1][0] >= begin)


def _any_after(places: Sequence[Place], begin: Place, end: datetime | None) -> bool:
    """Whether the first of the places after a beginning is not after an end."""
    first = bisect_right(places, begin)
    return first < len(places) and (end is None or places[first] <= (end, _AFTER_ALL))


def _key(fields: Mapping[str, Any], name: str) -> str | None:
    value = lookup(fields, name)
    return None if value is None or value == "" else shown(value)
