"""The raw path: counting events straight from the ledger; the oracle of replay."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import select

from services.metrics.domain.business import BusinessHours
from services.metrics.replay.frame import Frame, Row
from services.metrics.replay.knowledge import (
    Condition,
    CutOver,
    Ground,
    Knowledge,
    not_cut_over,
    within,
)
from services.metrics.replay.ordering import first_versions, in_order
from services.metrics.replay.rates import RATE_EVENT, Rates
from services.metrics.replay.rules import rules
from shared.chain import parse_json
from shared.ledger import View
from shared.ledger.tables import events
from shared.periods import Calendar

COLUMNS = (
    events.c.position, events.c.name, events.c.subject, events.c.source,
    events.c.occurred_at, events.c.occurred_on, events.c.leaf, events.c.data,
)  # fmt: skip


@dataclass
class Reading:
    """What one request reads of a ledger: one knowledge, one calendar, each row once.

    `shown` is an open backfill whose effect is looked at; `hidden` are the positions that it
    would supersede.
    """

    view: View
    knowledge: Knowledge
    calendar: Calendar
    business: BusinessHours
    shown: str | None = None
    hidden: frozenset[int] = frozenset()
    since: dict[frozenset[str], Any] = field(default_factory=dict)
    # What the cells of one request share: chunks, and the tail of the ledger beyond them.
    chunks: dict[tuple[bytes, int, int], Any] = field(default_factory=dict)
    tails: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    _firsts: dict[int, int] = field(default_factory=dict)
    _asked: set[int] = field(default_factory=set)
    _kept: list[tuple[frozenset[str], Frame | None, bool, bool, list[Row]]] = field(
        default_factory=list
    )

    @cached_property
    def counting(self) -> list[Condition]:
        """The conditions under which an event counts, cut-overs included."""
        found = self.ground.counting(self.knowledge, self.shown)
        return [*found, *not_cut_over(self.cuts, self.calendar)]

    @cached_property
    def ground(self) -> Ground:
        """What decides besides the events which of them count."""
        k = self.knowledge
        position = max(k.backfills, k.retractions, k.cut_over, self.view.position)
        return Ground.of(rules(self.view), self.view.tenant_id, position)

    @cached_property
    def cuts(self) -> list[CutOver]:
        return self.ground.cuts(self.knowledge.cut_over)

    def first_versions(self, positions: Sequence[int]) -> Mapping[int, int]:
        """Of versions that are not the first of their facts, where these were told of first."""
        asked = [position for position in positions if position not in self._asked]
        if asked:
            self._firsts.update(first_versions(self.view, asked))
            self._asked.update(asked)
        return self._firsts

    @cached_property
    def rates(self) -> Rates:
        """The exchange rates known."""
        frame = Frame([], self.calendar)
        position = self.knowledge.exchange_rates
        conditions = self.ground.counting(Knowledge.at(position), self.shown)
        cuts = not_cut_over(self.cuts, self.calendar)
        found = self.view.connection.execute(
            select(*COLUMNS).where(*conditions, *cuts, events.c.name == RATE_EVENT)
        )
        rows = (to_row(row, self.calendar) for row in found)
        return Rates([row for row in rows if row.position not in self.hidden], frame)

    def rows(
        self, names: Iterable[str], frame: Frame | None, *, from_start: bool, to_end: bool
    ) -> list[Row]:
        """Counting events of some types in order; at least those in the span of the frame."""
        wanted = frozenset(names)
        for kept, span, starts, ends, rows in self._kept:
            if kept == wanted and _covers(span, starts, ends, frame, from_start, to_end):
                return _inside(rows, frame, from_start, to_end)
        conditions = within(frame, from_start=from_start, to_end=to_end) if frame else []
        found = self.view.connection.execute(
            select(*COLUMNS)
            .where(*self.counting, *conditions, events.c.name.in_(sorted(wanted)))
            .order_by(events.c.occurred_at, events.c.position)
        )
        read = (to_row(row, self.calendar) for row in found)
        rows = in_order(read, self.calendar, self.first_versions)
        if self.hidden:
            rows = [row for row in rows if row.position not in self.hidden]
        self._kept.append((wanted, frame, from_start, to_end, rows))
        return rows

    def history(self, names: Iterable[str]) -> list[Row]:
        """All counting events of some types in order."""
        return self.rows(names, None, from_start=False, to_end=False)


def _covers(
    span: Frame | None, starts: bool, ends: bool, frame: Frame | None, from_start: bool,
    to_end: bool,
) -> bool:  # fmt: skip
    """Whether rows of one span hold all rows of another."""
    low = not starts or (
        span is not None
        and frame is not None
        and from_start
        and min(span.start_days) <= min(frame.start_days)
    )
    high = not ends or (
        span is not None
        and frame is not None
        and to_end
        and max(p.end for p in span.periods) >= max(p.end for p in frame.periods)
    )
    return low and high


def _inside(rows: list[Row], frame: Frame | None, from_start: bool, to_end: bool) -> list[Row]:
    """The rows in the span of a frame; rows stand in order of their moments."""
    if frame is None or not (from_start or to_end):
        return rows
    low = bisect_left(rows, min(frame.starts), key=_moment) if from_start else 0
    high = bisect_left(rows, max(frame.ends), key=_moment) if to_end else len(rows)
    return rows[low:high]


def _moment(row: Row) -> datetime:
    return row.order[0]


def to_row(row: Sequence[Any], calendar: Calendar) -> Row:
    """An event as the fold sees it, with its moment in the organisation's zone."""
    position, name, subject, source, occurred_at, occurred_on, leaf, data = row
    moment = occurred_at if occurred_on is None else calendar.instant(occurred_on)
    return Row(
        position, name, subject, source, occurred_at, occurred_on, leaf, parse_json(data), moment
    )
