"""Replay: a metric's figures for any past period, as known at the view, and their events."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select

from services.metrics.domain.filters import Filter
from services.metrics.queries.definitions import Metric, calendar, metric, references
from services.metrics.replay.answer import Replay
from services.metrics.replay.frame import Frame
from services.metrics.replay.plan import MAX_GROUPS, Question, compute, word
from services.metrics.replay.raw import counting, within
from shared.clock import from_micros
from shared.errors import Fault, Refusal, invalid, problem
from shared.events import Event
from shared.ids import did_you_mean
from shared.ledger import View, read_event
from shared.ledger.tables import events
from shared.periods import Calendar, Grain, Period, PeriodError, parse_period, split

IMPOSSIBLE_PERIOD = problem(
    "impossible-period", 422, "No such period",
    "The period can't be given bounds: its name is in no known form, or it ends before it begins.",
    "Write 2025-Q3, 2025-07, 2025-W31, 2025, FY2026-Q1 or 2025-01-01..2025-04-01 (end exclusive).",
)  # fmt: skip
MAX_PERIODS_ASKED = 1_000


@dataclass(frozen=True)
class Span:
    """Which periods are asked for: some by name, or all of a grain between two days."""

    periods: Sequence[str] = ()
    start: date | None = None
    end: date | None = None
    grain: Grain | None = None


def no_such_period(pointer: str, error: PeriodError) -> Refusal:
    return IMPOSSIBLE_PERIOD.refusal(str(error), [Fault(pointer, str(error), "period")])


def periods_of(span: Span, days: Calendar) -> list[Period]:
    """The periods of a span, in order; refuses impossible and overlapping ones."""
    try:
        if span.periods:
            found = sorted(
                (parse_period(name, days) for name in span.periods), key=lambda p: p.start
            )
            if span.grain is not None:
                found = [q for p in found for q in split(p.start, p.end, span.grain, days)]
        elif span.start and span.end and span.grain:
            if span.start >= span.end:
                raise PeriodError(f"`from` {span.start} must lie before `to` {span.end}.")
            found = split(span.start, span.end, span.grain, days)
        else:
            raise PeriodError("Say `period`, or `from`, `to` and `grain`.")
        for earlier, later in itertools.pairwise(found):
            if later.start < earlier.end:
                raise PeriodError(f"{earlier.name} and {later.name} overlap.")
    except PeriodError as error:
        raise no_such_period("query:period", error) from error
    if not 0 < len(found) <= MAX_PERIODS_ASKED:
        detail = f"Ask for 1 to {MAX_PERIODS_ASKED} periods at once; these are {len(found)}."
        raise invalid("query:grain", detail, "too_many")
    return found


def question(
    view: View,
    found: Metric,
    periods: Sequence[Period],
    days: Calendar,
    *,
    group_by: Sequence[str] = (),
    where: Filter | None = None,
    max_groups: int = MAX_GROUPS,
) -> Question:
    """A metric's definition with the periods and groups asked for."""
    for name in group_by:
        if found.body.dimensions and name not in found.body.dimensions:
            detail = f"{name!r} is no dimension of {found.body.key!r}."
            near = did_you_mean(name, found.body.dimensions)
            raise invalid("query:group_by", detail + near, "unknown_dimension")
    cadence = found.body.guidelines.get("cadence")
    return Question(
        metric=found.body.key,
        version=found.body.version,
        unit=found.body.unit,
        definition=found.definition,
        references=references(view, found.definition),
        periods=periods,
        calendar=days,
        settles_after=found.body.settles_after,
        cadence=cadence,
        group_by=group_by,
        where=where,
        max_groups=max_groups,
    )


def replay(
    view: View,
    key: str,
    span: Span,
    *,
    version: int | None = None,
    group_by: Sequence[str] = (),
    where: Filter | None = None,
    max_groups: int = MAX_GROUPS,
) -> Replay:
    """The values of a metric as known at the view."""
    found = metric(view, key, version)
    days = calendar(view)
    asked = question(
        view, found, periods_of(span, days), days,
        group_by=group_by, where=where, max_groups=max_groups,
    )  # fmt: skip
    return answer(view, found, asked)


def answer(view: View, found: Metric, asked: Question) -> Replay:
    return Replay(
        known_at=view.known_at,
        basis=view.basis.token,
        open=view.open,
        metric=asked.metric,
        version=asked.version,
        defined_later=found.defined_later,
        unit=asked.unit,
        values=word(view, compute(view, asked)),
    )


def events_behind(
    view: View, key: str, period: str, after: tuple[int, int], limit: int
) -> list[Event]:
    """The counting events of a metric's types in a period, in order of occurrence.

    These are the events that its figure was made from, before `where`; `after` is the last one
    of the page before (microseconds of occurrence, position).
    """
    found, days = metric(view, key), calendar(view)
    periods = periods_of(Span([period]), days)
    asked = question(view, found, periods, days)
    frame = Frame(periods, days)
    bounds = [(frame.starts[0], periods[0].start), (frame.ends[0], periods[0].end)]
    conditions: list[Any] = [*counting(view), within(bounds[0], bounds[1])]
    order = (events.c.occurred_at, events.c.position)
    if after != (0, 0):
        moment = from_micros(after[0])
        conditions.append(
            (events.c.occurred_at > moment)
            | ((events.c.occurred_at == moment) & (events.c.position > after[1]))
        )
    rows = view.connection.execute(
        select(events)
        .where(*conditions, events.c.name.in_(sorted(asked.names())))
        .order_by(*order)
        .limit(limit)
    )
    return [read_event(row._mapping) for row in rows]
