"""The tail: what the ledger holds behind the whole segments that chunks were read of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Select,
    and_,
    bindparam,
    case,
    false,
    or_,
    type_coerce,
)

from services.metrics.replay.cells.delta import IN_RUN, MOVED, NAMED, added, changed
from services.metrics.replay.cells.series import Series
from services.metrics.replay.cells.sheet import Sheet
from services.metrics.replay.frame import Frame
from services.metrics.replay.knowledge import within
from services.metrics.replay.raw import Reading
from services.metrics.replay.rules import rules
from shared.asking import Rows, ask_together
from shared.clock import midnight_utc, to_micros
from shared.ledger.tables import events

_MOMENT = type_coerce(events.c.occurred_at, BigInteger)
_IN_FRAME = or_(
    and_(events.c.occurred_on.is_(None), bindparam("start") <= _MOMENT, bindparam("end") > _MOMENT),
    and_(
        events.c.occurred_on.is_not(None),
        bindparam("start_day") <= _MOMENT,
        bindparam("end_day") > _MOMENT,
    ),
)
# A run of positions is short and a period is not: as one case, no planner goes by name and time.
_WANTED = case((_IN_FRAME, NAMED), else_=false())
_TAIL = IN_RUN.where(_WANTED)


@dataclass(frozen=True)
class Tail:
    """The events of some types in a frame that were recorded after a position, for some series."""

    reading: Reading
    series: frozenset[bytes]
    names: frozenset[str]
    frame: Frame
    after: int

    @property
    def until(self) -> int:
        return self.reading.knowledge.late

    def _place(self, what: frozenset[Any]) -> tuple[Any, ...]:
        """Under which the reading remembers it: for all of some types, or for some series."""
        bounds = (min(self.frame.start_days), max(p.end for p in self.frame.periods))
        return (self.after, what, *(day.toordinal() for day in bounds))

    def run(self, until: int | None = None) -> dict[str, Any]:
        """The positions that it is behind and up to, or those up to another one."""
        tenant = self.reading.view.tenant_id
        return {"tenant": tenant, "after": self.after, "until": until or self.until}

    def is_plain(self, until: int | None = None) -> bool:
        """Whether no backfill and no range of retractions begins to act in it."""
        known, last = rules(self.reading.view), until or self.until
        acting = (*known.backfills, *known.ranges)
        return not any(self.after < row.from_position <= last for row in acting)

    def asked(self) -> tuple[Select[Any], dict[str, Any]]:
        """What to ask for it where it is plain, as almost every one is."""
        frame = self.frame
        bounds = {
            "start": to_micros(min(frame.starts)), "end": to_micros(max(frame.ends)),
            "start_day": to_micros(midnight_utc(min(frame.start_days))),
            "end_day": to_micros(midnight_utc(max(p.end for p in frame.periods))),
        }  # fmt: skip
        return _TAIL, {**self.run(), "names": sorted(self.names), **bounds}

    def keep(self, sheet: Sheet) -> None:
        self.reading.tails[self._place(self.names)] = sheet

    def holds_nothing(self) -> None:
        """Keep that there is nothing in it of its series; of its types there may be."""
        self.reading.tails[self._place(self.series)] = Sheet([], [], self.reading.calendar)

    def told(self, rows: Rows, *, moves: bool) -> None:
        """Keep it as the rows tell it; `moves` says that something of it may not count any more."""
        moved: Rows = []
        if moves:
            (moved,) = ask_together(self.reading.view.connection, [(MOVED, self.run())])
        new = added(rows, moved, self.after, self.until)
        sheet = self._changed() if new is None else Sheet(new, [], self.reading.calendar)
        self.keep(sheet)

    def _changed(self) -> Sheet:
        """It with all that began and ceased to count."""
        view, frame = self.reading.view, self.frame
        which = [
            events.c.name.in_(sorted(self.names)), *within(frame, from_start=True, to_end=True),
        ]  # fmt: skip
        return changed(
            view.connection, self.reading.ground, self.reading.calendar, self.after, self.until,
            which,
        )  # fmt: skip

    def sheet(self) -> Sheet:
        """It, as it was kept or else looked up."""
        kept: dict[tuple[Any, ...], Sheet] = self.reading.tails
        if self._place(self.series) in kept:
            return kept[self._place(self.series)]
        if self._place(self.names) not in kept:
            if self.is_plain():
                (rows,) = ask_together(self.reading.view.connection, [self.asked()])
                self.told(rows, moves=True)
            else:
                self.keep(self._changed())
        return kept[self._place(self.names)]


def tail_behind(
    reading: Reading, one: Series, siblings: Sequence[Series], frame: Frame, after: int
) -> Tail:
    """What some series need of the ledger behind a position."""
    every = (one, *siblings)
    names = frozenset[str]().union(*(s.names for s in every))
    tail = Tail(reading, frozenset(s.id for s in every), names, frame, after)
    if after == tail.until:
        tail.holds_nothing()
    return tail
