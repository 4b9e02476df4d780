"""Replay: a metric's figures for any past period, as known at the view, and their events."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice

from sqlalchemy import select

from services.metrics.domain.checks import field_faults, filter_faults
from services.metrics.domain.definition import own_events
from services.metrics.domain.filters import Filter
from services.metrics.queries.backfills import superseded_by
from services.metrics.queries.definitions import (
    Metric,
    business_hours,
    calendar_from,
    calendar_set,
    known_to,
    metric,
    references,
)
from services.metrics.replay.answer import Replay
from services.metrics.replay.cells import Cells
from services.metrics.replay.knowledge import Knowledge
from services.metrics.replay.plan import MAX_GROUPS, Question, compute, rows_behind
from services.metrics.replay.raw import Reading
from services.metrics.replay.tree import adds_up, leaves_of
from services.metrics.replay.wording import word
from shared.clock import to_micros
from shared.errors import INVALID, Fault, Refusal, invalid, problem
from shared.events import Event
from shared.ids import did_you_mean
from shared.ledger import View, read_event
from shared.ledger.tables import events
from shared.periods import Calendar, Grain, Period, PeriodError, parse_period, periods_from

IMPOSSIBLE_PERIOD = problem(
    "impossible-period", 422, "No such period",
    "The period can't be given bounds: its name is in no known form, or it ends before it begins.",
    "Write 2025-Q3, 2025-07, 2025-W31, 2025, FY2026-Q1 or 2025-01-01..2025-04-01 (end exclusive).",
)  # fmt: skip
MAX_PERIODS_ASKED = 1_000
MAX_VALUES = 20_000
GROUPABLE = re.compile(r"\$(type|subject|source)|[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Span:
    """Which periods are asked for: some by name, or all of a grain between two days."""

    periods: Sequence[str] = ()
    start: date | None = None
    end: date | None = None
    grain: Grain | None = None


def no_such_period(pointer: str, error: PeriodError) -> Refusal:
    return IMPOSSIBLE_PERIOD.refusal(str(error), [Fault(pointer, str(error), "period")])


def periods_of(span: Span, days: Calendar, *, apart: bool = True) -> list[Period]:
    """The periods of a span, in order; refuses impossible ones.

    One named twice is told once; with `apart`, those that overlap are refused.
    """
    try:
        named, bounded = bool(span.periods), span.start is not None or span.end is not None
        if named == bounded or (bounded and not (span.start and span.end and span.grain)):
            raise PeriodError("Say `period`, or `from`, `to` and `grain`.")
        if span.start and span.end:
            if span.start >= span.end:
                raise PeriodError(f"`from` {span.start} must lie before `to` {span.end}.")
            whole = [Period(f"{span.start}..{span.end}", span.start, span.end)]
        else:
            whole = sorted(
                {parse_period(name, days) for name in span.periods},
                key=lambda p: (p.start, p.end, p.name),
            )
        for earlier, later in itertools.pairwise(whole):
            if apart and later.start < earlier.end:
                raise PeriodError(f"{earlier.name} and {later.name} overlap.")
        found = whole if span.grain is None else _parts(whole, span.grain, days)
    except PeriodError as error:
        raise no_such_period("query:period", error) from error
    return found


def _parts(whole: list[Period], grain: Grain, days: Calendar) -> list[Period]:
    """The periods of a grain in some spans; one that lies in two of them is told once."""
    found: dict[date, Period] = {}
    for span in whole:
        for part in islice(periods_from(span.start, span.end, grain, days), MAX_PERIODS_ASKED + 1):
            found[part.start] = part
        if len(found) > MAX_PERIODS_ASKED:
            detail = f"Ask for at most {MAX_PERIODS_ASKED} periods at once; take a coarser grain."
            raise invalid("query:grain", detail, "too_many")
    return list(found.values())


def reading(
    view: View,
    *,
    knowledge: Knowledge | None = None,
    days: View | None = None,
    shown: str | None = None,
) -> Reading:
    """What is known at a view; `shown` is an open backfill whose effect is looked at.

    `days` is the view whose calendar holds, where that is another one.
    """
    stated = calendar_set(days or view)
    return Reading(
        view,
        knowledge or Knowledge.at(view.position),
        calendar_from(stated),
        business_hours(stated),
        shown,
        superseded_by(view, shown) if shown else frozenset(),
    )


def question(
    view: View,
    found: Metric,
    periods: Sequence[Period],
    *,
    group_by: Sequence[str] = (),
    where: Filter | None = None,
    max_groups: int = MAX_GROUPS,
) -> Question:
    """A metric's definition with the periods and groups asked for."""
    dimensions = found.body.dimensions
    for name in group_by:
        if not GROUPABLE.fullmatch(name):
            raise invalid("query:group_by", f"{name[:80]!r} is no field name.", "dimension")
        if dimensions and name not in dimensions:
            detail = f"{name!r} is no dimension of {found.body.key!r}."
            near = did_you_mean(name, dimensions)
            raise invalid("query:group_by", detail + near, "unknown_dimension")
    named = references(view, found.definition)
    own = {n for leaf in leaves_of(found.definition, named) for n in own_events(leaf)}
    _demand_fields(view, own, where, group_by)
    settling = [found.body.settles_after, *(one.settles_after for one in named.values())]
    return Question(
        metric=found.body.key,
        version=found.body.version,
        unit=found.body.unit,
        definition=found.definition,
        references=named,
        periods=periods,
        settles_after=max(settling),
        cadence=found.body.guidelines.get("cadence"),
        dimensions=dimensions,
        group_by=group_by,
        where=where,
        max_groups=max_groups,
    )


def _demand_fields(
    view: View, names: set[str], where: Filter | None, group_by: Sequence[str]
) -> None:
    """Refuse to look at fields that no event of the metric ever had: a slip of the pen."""
    if where is None and not group_by:
        return
    known, own = known_to(view, {}), sorted(names)
    faults = [
        *filter_faults("query:where", where, own, known),
        *field_faults("query:group_by", set(group_by), own, known),
    ]
    if faults:
        raise INVALID.refusal(faults[0].detail, faults)


@dataclass(frozen=True)
class Asked:
    """What is asked of one metric, besides which one it is."""

    span: Span
    version: int | None = None
    group_by: Sequence[str] = ()
    where: Filter | None = None
    max_groups: int = MAX_GROUPS


def replay(known: Reading, key: str, asked: Asked, cells: Cells | None = None) -> Replay:
    """The values of a metric as known at a reading."""
    found = metric(known.view, key, asked.version)
    return answer(known, found, asked, cells)


def answer(known: Reading, found: Metric, asked: Asked, cells: Cells | None = None) -> Replay:
    """The values of a definition, saved or not, as known at a reading."""
    periods = periods_of(asked.span, known.calendar, apart=False)
    full = question(
        known.view, found, periods,
        group_by=asked.group_by, where=asked.where, max_groups=asked.max_groups,
    )  # fmt: skip
    computed = compute(known, full, cells)
    if len(computed.groups) * len(periods) > MAX_VALUES:
        detail = (
            f"{len(computed.groups)} groups in {len(periods)} periods are more than {MAX_VALUES} "
            "values; ask for fewer periods, or say `group_limit`."
        )
        raise invalid("query:group_limit", detail, "too_many")
    return Replay(
        known_at=known.view.known_at,
        basis=known.view.basis.token,
        open=known.view.open,
        metric=full.metric,
        version=full.version,
        defined_later=found.defined_later,
        unit=full.unit,
        additive=adds_up(full.definition, full.references),
        values=word(computed),
    )


def events_behind(
    known: Reading, key: str, asked: Asked, after: tuple[int, int], limit: int
) -> list[Event]:
    """The very events that a metric's figure is made of, in order of occurrence.

    For states these are the last events of the things that stand; for durations and conversions
    the events that count. `after` is the last one of the page before (microseconds of occurrence,
    position).
    """
    found = metric(known.view, key, asked.version)
    periods = periods_of(asked.span, known.calendar)
    full = question(known.view, found, periods, where=asked.where)
    rows = [
        row
        for row in rows_behind(known, full)
        if after == (0, 0) or (to_micros(row.occurred_at), row.position) > after
    ][:limit]
    stored = known.view.connection.execute(
        select(events).where(
            events.c.tenant_id == known.view.tenant_id,
            events.c.position.in_([row.position for row in rows]),
        )
    )
    by_position = {row.position: read_event(row._mapping) for row in stored}
    return [by_position[row.position] for row in rows]
