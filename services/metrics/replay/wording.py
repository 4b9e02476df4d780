"""Answers in words of the wire: values rounded once, reasons, coverage and proof."""

from __future__ import annotations

from bisect import bisect_left
from datetime import date, timedelta
from fractions import Fraction

from services.metrics.domain.definition import Derived
from services.metrics.domain.units import is_money
from services.metrics.replay.answer import SEMANTICS, Coverage, Proof, Value
from services.metrics.replay.frame import Figure, Group
from services.metrics.replay.plan import REST, Computed
from services.metrics.replay.tree import BEGINNING, zero_when_empty
from shared.money import exact, figure
from shared.periods import Grain, split

MAX_GAPS = 100
CADENCES: dict[str, Grain] = {
    "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year",
}  # fmt: skip


def word(computed: Computed) -> list[Value]:
    """The answer's values, each rounded once, in order of period, then group."""
    promised = computed.question.cadence in CADENCES
    days = computed.days() if promised else [set[date]() for _ in computed.frame.periods]
    return [
        _value(computed, index, group, computed.groups[group][index], days[index])
        for index in range(len(computed.frame.periods))
        for group in sorted(computed.groups, key=lambda one: (_shown(one), REST in one))
    ]


def reason_of(computed: Computed, index: int, found: Figure) -> str | None:
    """Why a figure has no value, or None where it has one."""
    question = computed.question
    if computed.history is not None and computed.frame.periods[index].start < computed.history:
        return "before_source_history"
    if found.n and not isinstance(question.definition, Derived):
        return found.reason  # What counts in it began before its end; no need to look it up.
    since = computed.since
    if since.first_day is None and since.answered_from is not None:
        return "not_yet_recorded"
    begins_later = since.first_day is None or computed.frame.periods[index].end <= since.first_day
    if begins_later and zero_when_empty(question.definition, question.references):
        return "before_first_event"
    return found.reason


def _value(computed: Computed, index: int, group: Group, found: Figure, days: set[date]) -> Value:
    question, period = computed.question, computed.frame.periods[index]
    view = computed.reading.view
    reason = reason_of(computed, index, found)
    value = None if reason else found.value
    settled = computed.frame.ends[index] + timedelta(days=question.settles_after)
    return Value(
        period=period.name,
        start=period.start,
        end=period.end,
        value=None if value is None else figure(value),
        reason=reason,
        answered_from=computed.since.answered_from if reason == "not_yet_recorded" else None,
        provisional=found.pending or view.known_at < settled,
        numerator=_exact(found.numerator),
        denominator=_exact(found.denominator),
        currency=_currency(question.unit, found),
        n=found.n,
        coverage=_coverage(computed, index, days),
        group=dict(zip(question.group_by, _shown(group), strict=False)),
        rest=REST in group,
        proof=Proof(
            metric=question.metric,
            version=question.version,
            events=found.n,
            digest=f"{found.digest:064x}",
            position=view.position,
            semantics=SEMANTICS,
        ),
    )


def _shown(group: Group) -> Group:
    return tuple("other" if said == REST else said for said in group)


def _exact(value: Fraction | None) -> str | None:
    return None if value is None else exact(value)


def _currency(unit: str, found: Figure) -> str | None:
    if is_money(unit) and len(found.currencies) == 1:
        return next(iter(found.currencies))
    return None


def _coverage(computed: Computed, index: int, days: set[date]) -> Coverage:
    question, period = computed.question, computed.frame.periods[index]
    grain = CADENCES.get(question.cadence or "")
    if grain is None:
        return Coverage(cadence=question.cadence, slots=0, delivered=0, share=None, gaps=[])
    # A slot that begins before the period belongs to the one before.
    slots = [
        slot
        for slot in split(max(period.start, BEGINNING), period.end, grain, computed.frame.calendar)
        if slot.start >= period.start
    ]
    if not slots:
        return Coverage(cadence=question.cadence, slots=0, delivered=0, share=None, gaps=[])
    told = sorted(days)
    gaps = [s.name for s in slots if bisect_left(told, s.start) == bisect_left(told, s.end)]
    delivered = len(slots) - len(gaps)
    return Coverage(
        cadence=question.cadence,
        slots=len(slots),
        delivered=delivered,
        share=figure(Fraction(delivered, len(slots))),
        gaps=gaps[:MAX_GAPS],
    )
