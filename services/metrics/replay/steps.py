"""Figures over two steps: durations, conversions and times in a state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

from services.metrics.domain.definition import Conversion, Duration, TimeInState
from services.metrics.domain.filters import JoinFields, Step, join_fields, lookup
from services.metrics.domain.windows import Window, parse_window
from services.metrics.replay.frame import Figure, Row, shown, view_of
from services.metrics.replay.lens import Buckets, Lens, Values, counted, mean, quantile, whole
from shared.clock import MICROSECOND

Made = tuple[Buckets, Callable[[Values], Figure]]
_DAY_SECONDS = 86_400


def _taken(
    rows: Sequence[Row], steps: Sequence[Step], join: str | JoinFields, lens: Lens
) -> list[dict[str, list[Row]]]:
    """For each step its events by what they are joined by, in order of occurrence."""
    keys = join_fields(join)
    found: list[dict[str, list[Row]]] = []
    for step, key_field in zip(steps, keys, strict=True):
        passes, names = lens.passes(step.where), set(step.events)
        taken: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row.name not in names:
                continue
            fields = view_of(row)
            key = lookup(fields, key_field)
            if key is not None and passes(fields):
                taken[shown(key)].append(row)
        found.append(taken)
    return found


def fold_duration(leaf: Duration, rows: Sequence[Row], lens: Lens) -> Made:
    """Times from step to step, by the period in which they end."""
    begins, ends = _taken(rows, (leaf.from_, leaf.to), leaf.join, lens)
    asked, buckets = lens.asked, Buckets(lens)
    for key, finished in ends.items():
        for begin, end in _pairs(leaf, begins.get(key, []), finished, lens):
            index = lens.frame.index_of(end)
            fields = view_of(end)
            if index is not None and asked(fields):
                buckets.add(
                    lens.group_of(fields), index, end, _length(leaf.clock, begin, end, lens)
                )
    return buckets, lambda bucket: _time_figure(leaf.statistic, leaf.q, bucket, lens)


def _pairs(
    leaf: Duration, begins: list[Row], ends: list[Row], lens: Lens
) -> Iterable[tuple[Row, Row]]:
    precedes = lens.frame.precedes
    if leaf.which == "first":
        pair = next(
            ((b, e) for b in begins[:1] for e in ends if b is not e and precedes(b, e)), None
        )
        return [pair] if pair else []
    pairs: dict[int, tuple[Row, Row]] = {}
    for number, end in enumerate(ends):
        before = [b for b in begins if b is not end and precedes(b, end)]
        index = lens.frame.index_of(end)
        if before and index is not None:
            # `last` keeps one end per period, `each` keeps all.
            pairs[index if leaf.which == "last" else number] = (before[-1], end)
    return pairs.values()


def _length(clock: str, begin: Row, end: Row, lens: Lens) -> Fraction:
    """Seconds from one event to another, by a clock."""
    frame = lens.frame
    if clock == "business":
        moments = begin.moment, end.moment
        return lens.business.seconds_between(*moments, frame.calendar)
    days = (frame.day_of(end) - frame.day_of(begin)).days
    if clock == "calendar_days" or begin.occurred_on is not None or end.occurred_on is not None:
        return Fraction(days * _DAY_SECONDS)
    return Fraction((end.occurred_at - begin.occurred_at) // MICROSECOND, 1_000_000)


def _time_figure(statistic: str, q: float | None, bucket: Values, lens: Lens) -> Figure:
    """A statistic of times in seconds, said in the metric's unit of time."""
    figure = counted([row for row, _ in bucket])
    values = [value for _, value in bucket]
    total, count = sum(values, Fraction(0)), Fraction(len(values))
    total, count = _in_unit(total, count, lens)
    if statistic == "average":
        return mean(figure, total, count)
    figure.numerator, figure.denominator = total, count
    if not values:
        figure.reason = "no_events"
        return figure
    share = Fraction(1, 2) if statistic == "median" else Fraction(str(q))
    figure.value = quantile(values, share) / lens.unit_seconds
    return figure


def _in_unit(total: Fraction, count: Fraction, lens: Lens) -> tuple[Fraction, Fraction]:
    """A total and what it is divided by, both exact decimals: seconds over a longer divisor."""
    if total.denominator == 1 and total % lens.unit_seconds == 0:
        return total / lens.unit_seconds, count
    return total, count * lens.unit_seconds


def fold_conversion(leaf: Conversion, rows: Sequence[Row], lens: Lens) -> Made:
    """Who took the first step in a period, each once, and whether they took the second in time."""
    begins, ends = _taken(rows, (leaf.from_, leaf.to), leaf.join, lens)
    asked, buckets = lens.asked, Buckets(lens)
    window = parse_window(leaf.within) if leaf.within else None
    for key, begun in begins.items():
        entered: dict[int, Row] = {}
        for row in begun:
            index = lens.frame.index_of(row)
            if index is not None and asked(view_of(row)):
                entered.setdefault(index, row)
        for index, row in entered.items():
            converted = _converted(row, ends.get(key, []), window, lens)
            if converted is None:
                lens.related.pending.add(index)
            buckets.add(lens.group_of(view_of(row)), index, row, bool(converted))
    return buckets, lambda bucket: _conversion_figure(leaf, bucket)


def _converted(begin: Row, ends: list[Row], window: Window | None, lens: Lens) -> bool | None:
    """Whether the second step followed in time; None while it still may."""
    frame = lens.frame
    deadline = window.after(begin.moment, frame.calendar) if window else None
    dusk = frame.dusk(deadline) if deadline else None
    for end in ends:
        # Dates are compared with dates: what knows only its day has that whole day.
        by_day = begin.occurred_on is not None or end.occurred_on is not None
        late = by_day and dusk and end.moment >= dusk
        late = late or (not by_day and deadline and end.moment > deadline)
        if end.position != begin.position and frame.precedes(begin, end) and not late:
            return True
    closes = deadline if begin.occurred_on is None else dusk
    return None if closes is None or closes > lens.known_at else False


def _conversion_figure(leaf: Conversion, bucket: Values) -> Figure:
    figure = counted([row for row, _ in bucket])
    done = Fraction(sum(1 for _, converted in bucket if converted))
    if leaf.as_ == "count":
        return whole(figure, done)
    figure.numerator, figure.denominator = done, Fraction(len(bucket))
    if bucket:
        figure.value = done / len(bucket)
    else:
        figure.reason = "no_events"
    return figure


def fold_time_in_state(leaf: TimeInState, rows: Sequence[Row], lens: Lens) -> Made:
    """Per subject the time of its visits that ended in a period; pooled shares over its whole."""
    done = leaf.done or leaf.leave
    enters, leaves = _taken(rows, (leaf.enter, leaf.leave), "subject", lens)
    counts, _ = _taken(rows, (done, done), "subject", lens)
    named = {*leaf.enter.events, *leaf.leave.events, *done.events}
    seen: dict[str, Row] = {}
    for row in rows:
        if row.name in named and row.subject is not None:
            seen.setdefault(row.subject, row)
    asked, buckets = lens.asked, Buckets(lens)
    for subject, marks in counts.items():
        visits = _visits(enters.get(subject, []), leaves.get(subject, []))
        for index, value, last in _by_period(visits, marks, seen[subject], leaf, lens):
            fields = view_of(last)
            if asked(fields):
                buckets.add(lens.group_of(fields), index, last, value)
    return buckets, lambda bucket: _state_time_figure(leaf, bucket, lens)


def _visits(enters: list[Row], leaves: list[Row]) -> list[tuple[Row, Row]]:
    """Each time the state was entered and left again; entering twice begins once."""
    ordered = sorted(
        [(row.order, 1, row) for row in enters] + [(row.order, 0, row) for row in leaves],
        key=lambda item: (item[0], item[1]),
    )
    visits: list[tuple[Row, Row]] = []
    entered: Row | None = None
    for _, entering, row in ordered:
        if entering and entered is None:
            entered = row
        elif not entering and entered is not None:
            visits.append((entered, row))
            entered = None
    return visits


def _by_period(
    visits: list[tuple[Row, Row]], marks: list[Row], first: Row, leaf: TimeInState, lens: Lens
) -> Iterable[tuple[int, Any, Row]]:
    """(period, value, marking event) of a subject; a share's value is (in state, in all).

    The marks are the leavings (a subject counts in each period in which it left) or, with `done`,
    the first event that says it is done (it counts there once, with all its visits).
    """
    last: dict[int, Row] = {}
    for mark in marks[:1] if leaf.done else marks:
        index = lens.frame.index_of(mark)
        if index is not None:
            last[index] = mark
    for index, mark in last.items():
        ended = [(b, e) for b, e in visits if e.order <= mark.order]
        if leaf.statistic == "share_of_total":
            inside = sum((_length("elapsed", b, e, lens) for b, e in ended), Fraction(0))
            yield index, (inside, _length("elapsed", first, mark, lens)), mark
            continue
        if leaf.done is None:
            ended = [(b, e) for b, e in ended if lens.frame.index_of(e) == index]
        if ended:
            yield index, sum((_length("elapsed", b, e, lens) for b, e in ended), Fraction(0)), mark


def _state_time_figure(leaf: TimeInState, bucket: Values, lens: Lens) -> Figure:
    if leaf.statistic != "share_of_total":
        if leaf.statistic != "sum":
            return _time_figure(leaf.statistic, None, bucket, lens)
        figure = counted([row for row, _ in bucket])
        total = sum((value for _, value in bucket), Fraction(0))
        figure.value = total / lens.unit_seconds
        figure.numerator, figure.denominator = _in_unit(total, Fraction(1), lens)
        return figure
    figure = counted([row for row, _ in bucket])
    figure.numerator = sum((inside for _, (inside, _) in bucket), Fraction(0))
    figure.denominator = sum((whole_time for _, (_, whole_time) in bucket), Fraction(0))
    if figure.denominator:
        figure.value = figure.numerator / figure.denominator
    else:
        figure.reason = "zero_denominator" if bucket else "no_events"
    return figure
