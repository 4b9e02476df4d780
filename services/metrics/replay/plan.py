"""From a question about a metric to its figures: which rows, which folds, which reasons."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from babel.numbers import is_currency
from sqlalchemy import select

from services.metrics.domain.definition import (
    ADDITIVE_KINDS,
    Definition,
    Duration,
    Leaf,
    MetricRef,
    Ratio,
    Simple,
    events_of,
    parts_of,
    summands,
)
from services.metrics.domain.filters import Filter
from services.metrics.replay.answer import SEMANTICS, Coverage, Proof, Value
from services.metrics.replay.fold import fold
from services.metrics.replay.frame import Figure, Figures, Frame, Group, Grouping, Row, grouping
from services.metrics.replay.raw import fetch
from services.metrics.tables import spans
from shared.ledger import View
from shared.ledger.projecting import known
from shared.ledger.tables import events
from shared.money import exact, figure
from shared.periods import Calendar, Grain, Period, split

MAX_GROUPS = 1_000
MAX_GAPS = 100
OTHER = "other"
# Fields that canonical types give a currency to.
MONEY_FIELDS = frozenset({"amount", "revenue"})
_CADENCES: dict[str, Grain] = {
    "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year",
}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A metric's resolved definition with the periods and groups asked for."""

    metric: str
    version: int
    unit: str
    definition: Definition
    references: Mapping[str, Leaf]
    periods: Sequence[Period]
    calendar: Calendar
    settles_after: int = 0
    cadence: str | None = None
    group_by: Sequence[str] = ()
    where: Filter | None = None
    max_groups: int = MAX_GROUPS

    def leaves(self) -> list[Leaf]:
        return [
            self.references[part.metric] if isinstance(part, MetricRef) else part
            for _, part in parts_of(self.definition)
        ]

    def names(self) -> set[str]:
        return {name for leaf in self.leaves() for name in events_of(leaf)}


@dataclass(frozen=True)
class Since:
    """From when on there are data, in the world and in our knowledge."""

    first_day: date | None
    first_moment: datetime | None
    answered_from: datetime | None = None


@dataclass
class Folded:
    """Exact figures of a question, and what is needed to word them."""

    question: Question
    figures: Figures
    rows: Sequence[Row]
    frame: Frame
    since: Since

    @cached_property
    def days(self) -> list[set[date]]:
        """The days of each period on which events of the metric's types occurred."""
        found: list[set[date]] = [set() for _ in self.frame.periods]
        for row in self.rows:
            index = self.frame.index_of(row)
            if index is not None:
                found[index].add(self.frame.day_of(row))
        return found


def compute(view: View, question: Question) -> Folded:
    """Fold the ledger as known at the view into the question's exact figures."""
    frame = Frame(list(question.periods), question.calendar)
    since = data_since(view, question)
    rows = _rows(view, question, frame)
    group_of = grouping(question.group_by)
    found = _fold_all(question, rows, frame, group_of)
    if question.group_by and len(found) > question.max_groups:
        found = _fold_all(question, rows, frame, _limited(found, group_of, question))
    if not question.group_by and () not in found:
        found[()] = _fold_empty(question, frame)
    return Folded(question, found, rows, frame, since)


def _rows(view: View, question: Question, frame: Frame) -> list[Row]:
    first, last = frame.periods[0], frame.periods[-1]
    start: tuple[datetime, date] | None = (frame.starts[0], first.start)
    if any(not isinstance(leaf, Simple) or leaf.carry_forward for leaf in question.leaves()):
        start = None
    return fetch(view, question.names(), start, (frame.ends[-1], last.end))


def _fold_all(question: Question, rows: Sequence[Row], frame: Frame, group_of: Grouping) -> Figures:
    folded = [
        fold(leaf, _only(rows, leaf), frame, group_of, question.where) for leaf in question.leaves()
    ]
    if not isinstance(question.definition, Ratio):
        return folded[0]
    for leaf, figures in zip(question.leaves(), folded, strict=True):
        if not _sums_money(leaf):
            # Currencies matter only where amounts are added up.
            for found in figures.values():
                for one in found:
                    one.currencies = frozenset()
    above, below = folded
    empty = [_fold_empty_leaf(leaf, frame) for leaf in question.leaves()]
    return {
        group: [
            _ratio(a, b)
            for a, b in zip(above.get(group, empty[0]), below.get(group, empty[1]), strict=True)
        ]
        for group in {**above, **below}
    }


def _only(rows: Sequence[Row], leaf: Leaf) -> list[Row]:
    names = set(events_of(leaf))
    return [row for row in rows if row.name in names]


def _fold_empty(question: Question, frame: Frame) -> list[Figure]:
    empty = [_fold_empty_leaf(leaf, frame) for leaf in question.leaves()]
    if isinstance(question.definition, Ratio):
        return [_ratio(a, b) for a, b in zip(*empty, strict=True)]
    return empty[0]


def _fold_empty_leaf(leaf: Leaf, frame: Frame) -> list[Figure]:
    if _is_additive(leaf):
        return [Figure(Fraction(0), Fraction(0)) for _ in frame.periods]
    return [Figure(None, Fraction(0), Fraction(0), reason="no_events") for _ in frame.periods]


def _sums_money(leaf: Leaf) -> bool:
    field = None if isinstance(leaf, Duration) else leaf.field
    return field is not None and not MONEY_FIELDS.isdisjoint(summands(field))


def _is_additive(leaf: Leaf) -> bool:
    if isinstance(leaf, Duration):
        return False
    statistic = getattr(leaf, "statistic", "count")
    return leaf.kind in ADDITIVE_KINDS and statistic != "average"


def _ratio(above: Figure, below: Figure) -> Figure:
    joined = hashlib.sha256(
        above.digest.to_bytes(32, "big") + below.digest.to_bytes(32, "big")
    ).digest()
    ratio = Figure(
        numerator=above.value,
        denominator=below.value,
        n=below.n,
        digest=int.from_bytes(joined, "big"),
        currencies=above.currencies | below.currencies,
    )
    if above.value is None or below.value is None:
        ratio.reason = below.reason or above.reason
    elif below.value == 0:
        ratio.reason = "zero_denominator"
    else:
        ratio.value = above.value / below.value
    return ratio


def _limited(found: Figures, group_of: Grouping, question: Question) -> Grouping:
    """The groups with most events keep their names; the rest become `other`."""
    sizes = {group: sum(f.n for f in figures) for group, figures in found.items()}
    ranked = sorted(sizes, key=lambda g: (-sizes[g], g))
    kept = set(ranked[: question.max_groups])
    rest = tuple(OTHER for _ in question.group_by)

    def limited(fields: Mapping[str, Any]) -> Group:
        group = group_of(fields)
        return group if group in kept else rest

    return limited


def data_since(view: View, question: Question) -> Since:
    """Since when the sources that feed a metric have sent anything, as known at the view."""
    connection, owned = view.connection, spans.c.tenant_id == view.tenant_id
    names = sorted(question.names())
    feeding = select(spans.c.source).where(
        owned, spans.c.name.in_(names), spans.c.from_position <= view.position
    )
    first = connection.execute(
        select(spans.c.first_occurred_at)
        .where(owned, spans.c.source.in_(feeding), known(spans, view.position))
        .order_by(spans.c.first_occurred_at)
        .limit(1)
    ).scalar()
    if first is not None:
        # A date-only fact stands at its midnight in UTC; its own day is the earlier bound.
        return Since(min(first.date(), question.calendar.day_of(first)), first)
    later = connection.execute(
        select(events.c.recorded_at)
        .join(
            spans,
            (spans.c.tenant_id == events.c.tenant_id)
            & (spans.c.from_position == events.c.position),
        )
        .where(owned, spans.c.name.in_(names))
        .order_by(events.c.position)
        .limit(1)
    ).scalar()
    return Since(None, None, later)


def word(view: View, folded: Folded) -> list[Value]:
    """The answer's values, each rounded once."""
    return [
        _value(view, folded, index, group, folded.figures[group][index])
        for index in range(len(folded.frame.periods))
        for group in sorted(folded.figures)
    ]


def _value(view: View, folded: Folded, index: int, group: Group, found: Figure) -> Value:
    question, period = folded.question, folded.frame.periods[index]
    reason = _reason(folded, index, found)
    value = None if reason else found.value
    ends = folded.frame.ends[index] + timedelta(days=question.settles_after)
    return Value(
        period=period.name,
        start=period.start,
        end=period.end,
        value=None if value is None else figure(value),
        reason=reason,
        answered_from=folded.since.answered_from if reason == "not_yet_recorded" else None,
        provisional=view.known_at < ends,
        numerator=_exact(found.numerator),
        denominator=_exact(found.denominator),
        currency=_currency(question, found),
        n=found.n,
        coverage=_coverage(folded, index),
        group=dict(zip(question.group_by, group, strict=False)),
        proof=Proof(
            metric=question.metric,
            version=question.version,
            events=found.n,
            digest=f"{found.digest:064x}",
            position=view.position,
            semantics=SEMANTICS,
        ),
    )


def _exact(value: Fraction | None) -> str | None:
    return None if value is None else exact(value)


def is_money(unit: str) -> bool:
    return unit == "money" or (len(unit) == 3 and unit.isupper() and is_currency(unit))


def _currency(question: Question, found: Figure) -> str | None:
    if is_money(question.unit) and len(found.currencies) == 1:
        return next(iter(found.currencies))
    return None


def _reason(folded: Folded, index: int, found: Figure) -> str | None:
    question, since = folded.question, folded.since
    if since.first_day is None and since.answered_from is not None:
        return "not_yet_recorded"
    additive = not isinstance(question.definition, Ratio) and _is_additive(question.leaves()[0])
    begins_later = since.first_day is None or folded.frame.periods[index].end <= since.first_day
    if additive and begins_later:
        return "before_first_event"
    adds_up_money = any(_sums_money(leaf) for leaf in question.leaves())
    if adds_up_money and len(found.currencies) > 1:
        return "mixed_currencies"
    if is_money(question.unit):
        if len(found.currencies) > 1:
            return "mixed_currencies"
        if question.unit != "money" and found.currencies - {question.unit}:
            return "other_currency"
    return found.reason


def _coverage(folded: Folded, index: int) -> Coverage:
    question, period = folded.question, folded.frame.periods[index]
    grain = _CADENCES.get(question.cadence or "")
    if grain is None:
        return Coverage(cadence=question.cadence, slots=0, delivered=0, share=None, gaps=[])
    slots = split(period.start, period.end, grain, question.calendar)
    days = folded.days[index]
    gaps = [s.name for s in slots if not any(s.start <= day < s.end for day in days)]
    delivered = len(slots) - len(gaps)
    return Coverage(
        cadence=question.cadence,
        slots=len(slots),
        delivered=delivered,
        share=figure(Fraction(delivered, len(slots))),
        gaps=gaps[:MAX_GAPS],
    )
