"""`had` and `then`: whether another event came before or comes after, by subject or field."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.metrics.domain.filters import (
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

History = Callable[[Sequence[str]], Sequence[Row]]
Place = tuple[datetime, int]
_AFTER_ALL = 1 << 62


class Related:
    """Compiles filters that look at other events, and remembers where a window was open."""

    def __init__(self, history: History, frame: Frame, known_at: datetime) -> None:
        self._history = history
        self._frame = frame
        self._known_at = known_at
        self.pending: set[int] = set()

    def __call__(self, related: RelatedFilter) -> Predicate:
        mine, _ = join_fields(related.by)
        places = self._places(related)
        window = parse_window(related.within) if related.within else None
        match related:
            case HadFilter():
                return lambda fields: self._had(
                    places.get(_key(fields, mine), []), fields, related, window
                )
            case ThenFilter():
                return lambda fields: self._then(places.get(_key(fields, mine), []), fields, window)

    def _places(self, related: RelatedFilter) -> Mapping[str | None, list[Place]]:
        """Where in time the other events stand, per value that they are joined by."""
        step, (_, theirs) = step_of(related), join_fields(related.by)
        passes = compile_filter(step.where, self)
        found: dict[str | None, list[Place]] = defaultdict(list)
        for row in self._history(step.events):
            fields = view_of(row)
            key = _key(fields, theirs)
            if key is not None and passes(fields):
                found[key].append((self._frame.moment_of(row), row.position))
        return {key: sorted(places) for key, places in found.items()}

    def _had(
        self, places: Sequence[Place], fields: Mapping[str, Any], asked: HadFilter,
        window: Window | None,
    ) -> bool:  # fmt: skip
        end = self._end(fields, asked)
        if end is None or not places:
            return False
        last = bisect_left(places, end)
        if last == 0:
            return False
        return window is None or places[last - 1][0] >= window.before(end[0], self._frame.calendar)

    def _end(self, fields: Mapping[str, Any], asked: HadFilter) -> Place | None:
        """Before which place the other event must stand."""
        until: datetime | None = fields.get(UNTIL)
        row: Row = fields[ROW]
        if asked.before == "period":
            index = self._frame.ends.index(until) if until else self._frame.index_of(row)
            return None if index is None else (self._frame.starts[index], -1)
        if until is not None:
            return (until, -1)
        return (self._frame.moment_of(row), row.position)

    def _then(
        self, places: Sequence[Place], fields: Mapping[str, Any], window: Window | None
    ) -> bool:
        row: Row = fields[ROW]
        begin = self._frame.moment_of(row)
        end = window.after(begin, self._frame.calendar) if window else None
        first = bisect_right(places, (begin, row.position))
        if first < len(places) and (end is None or places[first] <= (end, _AFTER_ALL)):
            return True
        if end is None or end > self._known_at:
            index = self._frame.index_of(row)
            if index is not None:
                self.pending.add(index)
        return False


def _key(fields: Mapping[str, Any], name: str) -> str | None:
    value = lookup(fields, name)
    return None if value is None or value == "" else shown(value)
