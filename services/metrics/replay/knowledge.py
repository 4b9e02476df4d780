"""What is known: up to which position of the ledger each cause of a change is taken in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, not_, or_

from services.metrics.replay.frame import Frame
from services.metrics.replay.rules import Rules, holds
from services.metrics.tables import excluded
from shared.chain import parse_json
from shared.clock import midnight_utc
from shared.ledger.projecting import known
from shared.ledger.tables import events
from shared.periods import Calendar

Condition = ColumnElement[bool]
# Why a figure changes, in the order in which a restatement splits it.
CAUSES = (
    "late", "backfills", "retractions", "restatements", "cut_over", "exchange_rates", "calendar",
    "definition",
)  # fmt: skip
# Causes of an exclusion, as stored.
RETRACTED, RESTATED, BACKFILLED = "retracted", "restated", "backfilled"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The position up to which each cause is known; the same for all, except in a restatement."""

    late: int
    backfills: int
    retractions: int
    restatements: int
    cut_over: int
    exchange_rates: int
    calendar: int
    definition: int

    @classmethod
    def at(cls, position: int) -> Knowledge:
        return cls(*(position for _ in CAUSES))

    def until(self, cause: str, position: int) -> Knowledge:
        """The same with one cause known up to another position."""
        return replace(self, **{cause: position})

    @property
    def uniform(self) -> bool:
        return len({getattr(self, cause) for cause in CAUSES}) == 1


@dataclass(frozen=True, slots=True)
class CutOver:
    """From a day on, one source's facts count instead of another's; for some types, or all."""

    old_source: str
    new_source: str
    on: date
    events: tuple[str, ...]

    def hides(self, source: str, name: str, day: date) -> bool:
        if self.events and name not in self.events:
            return False
        return (source == self.old_source and day >= self.on) or (
            source == self.new_source and day < self.on
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """A state of a backfill, from one position until before another."""

    backfill_id: str
    closed: bool
    begins: int
    ends: int | None
    # Of a source's kept history: the source, and the moment from which on it is complete.
    kept: tuple[str, datetime] | None = None

    def holds(self, position: int) -> bool:
        return self.begins <= position and (self.ends is None or self.ends > position)


@dataclass(frozen=True)
class Ground:
    """What decides, besides the events themselves, which of them count: read once, used often."""

    tenant_id: UUID
    turns: Sequence[Turn]
    ranges: Sequence[Any]
    cut_overs: Sequence[Any]

    @classmethod
    def of(cls, known: Rules, tenant_id: UUID, position: int) -> Ground:
        """All backfills, retracted ranges and cut-overs up to a position."""
        turns = [
            Turn(
                row.backfill_id,
                row.state == "closed",
                row.from_position,
                row.to_position,
                _kept(row.body),
            )
            for row in known.backfills
            if row.from_position <= position
        ]
        ranges = [row for row in known.ranges if row.from_position <= position]
        cuts = sorted(
            (row for row in known.cut_overs if row.from_position <= position),
            key=lambda row: (row.old_source, row.new_source),
        )
        return cls(tenant_id, turns, ranges, cuts)

    def cuts(self, position: int) -> list[CutOver]:
        """The cut-overs in force at a position."""
        return [
            CutOver(row.old_source, row.new_source, row.on_day, tuple(row.event_names.split()))
            for row in self.cut_overs
            if holds(row, position) and not row.lifted
        ]

    def counting(self, k: Knowledge, shown: str | None = None) -> list[Condition]:
        """The conditions under which an event counts, whatever the cut-overs say.

        It is recorded, or part of a backfill that is closed and not reverted (or `shown` although
        it is open); not superseded by a higher sequence; and not retracted on its own or with a
        range of its source.
        """
        return [
            *self.recorded(k, shown),
            *self._not_excluded(k),
            *(not_(in_range(row)) for row in self.ranges if row.from_position <= k.retractions),
        ]

    def recorded(self, k: Knowledge, shown: str | None = None) -> list[Condition]:
        """The conditions under which an event is there, whether another one outranks it or not."""
        return [
            events.c.tenant_id == self.tenant_id,
            events.c.position <= max(k.late, k.backfills),
            self._recorded(k, shown),
        ]

    def _recorded(self, k: Knowledge, shown: str | None) -> Condition:
        plain: list[Condition] = [events.c.backfill.is_(None)]
        if k.late < k.backfills:
            plain.append(events.c.position <= k.late)
        # What slips in while a backfill is being closed is no part of it.
        within_closed = [
            and_(events.c.backfill == turn.backfill_id, events.c.position < turn.begins)
            for turn in self.turns
            if turn.closed and turn.holds(k.backfills)
        ]
        looked_at = [events.c.backfill == shown] if shown else []
        return or_(and_(*plain), *within_closed, *looked_at)

    def _not_excluded(self, k: Knowledge) -> list[Condition]:
        if k.uniform:
            return [~self._excluded(k.late)]
        return [
            ~self._excluded(k.retractions, RETRACTED),
            ~self._excluded(k.restatements, RESTATED),
            ~self._excluded(k.backfills, BACKFILLED),
            *self._unannounced(k),
        ]

    def _excluded(self, position: int, cause: str | None = None) -> Condition:
        return exists().where(
            excluded.c.tenant_id == self.tenant_id,
            excluded.c.position == events.c.position,
            known(excluded, position),
            *([excluded.c.cause == cause] if cause else []),
        )

    def _unannounced(self, k: Knowledge) -> list[Condition]:
        """Leave out recorded versions of a fact while restatements are not known so far."""
        if k.restatements >= k.late:
            return []
        announces = exists().where(
            excluded.c.tenant_id == self.tenant_id,
            excluded.c.from_position == events.c.position,
            excluded.c.cause == RESTATED,
        )
        return [or_(events.c.position <= k.restatements, ~announces)]


def _kept(body: str) -> tuple[str, datetime] | None:
    found = parse_json(body)
    told = found.get("complete_from")
    return None if told is None else (found["source"], datetime.fromisoformat(told))


def in_range(row: Any) -> Condition:
    """The events that a retraction of a source's range takes back."""
    inside = [events.c.source == row.source, events.c.position < row.from_position]
    if row.starts_at is not None:
        inside.append(events.c.occurred_at >= row.starts_at)
    if row.ends_at is not None:
        inside.append(events.c.occurred_at < row.ends_at)
    return and_(*inside)


def not_cut_over(cuts: Sequence[CutOver], calendar: Calendar) -> list[Condition]:
    """Leave out what a cut-over takes from the old or from the new source."""
    return [not_(_hidden(cut, calendar)) for cut in cuts]


def _hidden(cut: CutOver, calendar: Calendar) -> Condition:
    from_day = or_(
        and_(events.c.occurred_on.is_(None), events.c.occurred_at >= calendar.instant(cut.on)),
        and_(events.c.occurred_on.is_not(None), events.c.occurred_at >= midnight_utc(cut.on)),
    )
    hidden = or_(
        and_(events.c.source == cut.old_source, from_day),
        and_(events.c.source == cut.new_source, not_(from_day)),
    )
    return and_(hidden, events.c.name.in_(cut.events)) if cut.events else hidden


def within(frame: Frame, *, from_start: bool, to_end: bool) -> list[Condition]:
    """Occurred in the span of a frame; events that know only a date are compared by date."""
    timed: list[Condition] = [events.c.occurred_on.is_(None)]
    dated: list[Condition] = [events.c.occurred_on.is_not(None)]
    if from_start:
        timed.append(events.c.occurred_at >= min(frame.starts))
        dated.append(events.c.occurred_at >= midnight_utc(min(frame.start_days)))
    if to_end:
        timed.append(events.c.occurred_at < max(frame.ends))
        dated.append(events.c.occurred_at < midnight_utc(max(p.end for p in frame.periods)))
    return [or_(and_(*timed), and_(*dated))] if from_start or to_end else []
