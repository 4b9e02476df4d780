"""The plain fold: from the events of a ledger to exact figures per group and period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from services.metrics.domain.definition import Duration, Leaf, Simple, State, summands
from services.metrics.domain.filters import Filter, compile_filter, lookup
from services.metrics.replay.frame import (
    DIGEST_MODULUS,
    Figure,
    Figures,
    Frame,
    Group,
    Grouping,
    Row,
    shown,
    view_of,
)
from shared.clock import MICROSECOND


def fold(
    leaf: Leaf, rows: Sequence[Row], frame: Frame, group_of: Grouping, where: Filter | None
) -> Figures:
    """The figures of a leaf, per group, one for each period; `rows` come in `Row.order`."""
    match leaf:
        case Simple():
            return _fold_simple(leaf, rows, frame, group_of, where)
        case State():
            return _fold_state(leaf, rows, frame, group_of, where)
        case Duration():
            return _fold_duration(leaf, rows, frame, group_of, where)


class _Buckets:
    """Rows by group and period."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._rows: dict[Group, list[list[tuple[Row, Any]]]] = {}

    def add(self, group: Group, index: int, row: Row, value: Any) -> None:
        if group not in self._rows:
            self._rows[group] = [[] for _ in self._frame.periods]
        self._rows[group][index].append((row, value))

    def figures(self, make: Callable[[list[tuple[Row, Any]]], Figure]) -> Figures:
        return {g: [make(bucket) for bucket in buckets] for g, buckets in self._rows.items()}


def _fold_simple(
    leaf: Simple, rows: Sequence[Row], frame: Frame, group_of: Grouping, where: Filter | None
) -> Figures:
    own, asked = compile_filter(leaf.where), compile_filter(where)
    inside: Iterable[tuple[int, Row]]
    if leaf.kind == "latest" and leaf.carry_forward:
        inside = [
            (i, r) for i in range(len(frame.periods)) for r in rows if frame.is_before_end(r, i)
        ]
    else:
        inside = [(i, r) for r in rows if (i := frame.index_of(r)) is not None]
    if leaf.per_subject == "last_in_period":
        inside = _last_of_each_subject(inside)
    buckets, wanted = _Buckets(frame), set(leaf.events)
    value_of = _value_reader(leaf.field, numeric=leaf.kind != "distinct")
    for index, row in inside:
        fields = view_of(row)
        if row.name in wanted and own(fields) and asked(fields):
            value = 1 if leaf.kind == "count" else value_of(fields)
            if value is not None:
                buckets.add(group_of(fields), index, row, value)
    return buckets.figures(lambda bucket: _simple_figure(leaf, bucket))


def _last_of_each_subject(inside: Iterable[tuple[int, Row]]) -> list[tuple[int, Row]]:
    last: dict[tuple[int, str], Row] = {}
    for index, row in inside:
        key = (index, row.subject or f"#{row.position}")
        if key not in last or last[key].order < row.order:
            last[key] = row
    return [(index, row) for (index, _), row in last.items()]


def _value_reader(field_sum: str | None, *, numeric: bool) -> Callable[[Mapping[str, Any]], Any]:
    if field_sum is None:
        return lambda fields: fields["$subject"]
    names = summands(field_sum)

    def read(fields: Mapping[str, Any]) -> Any:
        values = [lookup(fields, name) for name in names]
        if not numeric:
            return None if values[0] in (None, "") else shown(values[0])
        numbers = [v for v in values if isinstance(v, int | Decimal) and not isinstance(v, bool)]
        return sum((Fraction(v) for v in numbers), Fraction(0)) if numbers else None

    return read


def _simple_figure(leaf: Simple, bucket: list[tuple[Row, Any]]) -> Figure:
    figure = _counted([row for row, _ in bucket])
    values = [value for _, value in bucket]
    match leaf.kind:
        case "count":
            return _whole(figure, Fraction(len(values)))
        case "distinct":
            return _whole(figure, Fraction(len(set(values))))
        case "sum":
            return _whole(figure, sum(values, Fraction(0)))
        case "average":
            return _mean(figure, values)
        case "min" | "max" | "percentile" | "latest" if not values:
            figure.reason = "no_events"
            return figure
        case "min":
            figure.value = min(values)
        case "max":
            figure.value = max(values)
        case "percentile":
            assert leaf.q is not None, "a percentile has its quantile"
            figure.value = quantile(values, Fraction(str(leaf.q)))
        case "latest":
            figure.value = max(bucket, key=lambda pair: pair[0].order)[1]
    return figure


def _counted(rows: Sequence[Row]) -> Figure:
    digest = sum(int.from_bytes(row.leaf, "big") for row in rows) % DIGEST_MODULUS
    currencies = frozenset(str(c) for row in rows if (c := row.fields.get("currency")))
    return Figure(n=len(rows), digest=digest, currencies=currencies)


def _whole(figure: Figure, value: Fraction) -> Figure:
    figure.value = figure.numerator = value
    return figure


def _mean(figure: Figure, values: Sequence[Fraction]) -> Figure:
    figure.numerator, figure.denominator = sum(values, Fraction(0)), Fraction(len(values))
    if values:
        figure.value = figure.numerator / figure.denominator
    else:
        figure.reason = "no_events"
    return figure


def quantile(values: Sequence[Fraction], q: Fraction) -> Fraction:
    """The quantile by linear interpolation between order statistics (Hyndman & Fan's type 7)."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * q
    low = place.numerator // place.denominator
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(slots=True)
class _Thing:
    """A subject as its events have left it."""

    fields: dict[str, Any] = field(default_factory=dict)
    last: Row | None = None
    digest: int = 0


def _fold_state(
    leaf: State, rows: Sequence[Row], frame: Frame, group_of: Grouping, where: Filter | None
) -> Figures:
    own, asked = compile_filter(leaf.where), compile_filter(where)
    value_of = _value_reader(leaf.field, numeric=True)
    things: dict[str, _Thing] = defaultdict(_Thing)
    buckets = _Buckets(frame)
    entering: list[list[Row]] = [[] for _ in [*frame.periods, None]]
    for row in rows:
        entering[frame.first_ending_after(row)].append(row)
    for index in range(len(frame.periods)):
        for row in entering[index]:
            _evolve(things, row)
        for thing in things.values():
            if thing.last is None or not (own(thing.fields) and asked(thing.fields)):
                continue
            value = 1 if leaf.field is None else value_of(thing.fields)
            if value is not None:
                stands = _standing(thing)
                buckets.add(group_of(thing.fields), index, stands, value)
    return buckets.figures(lambda bucket: _state_figure(leaf, bucket))


def _evolve(things: dict[str, _Thing], row: Row) -> None:
    thing = things[row.subject or f"#{row.position}"]
    thing.fields.update(row.fields)
    thing.fields.update({"$type": row.name, "$subject": row.subject, "$source": row.source})
    thing.last = row
    thing.digest = (thing.digest + int.from_bytes(row.leaf, "big")) % DIGEST_MODULUS


def _standing(thing: _Thing) -> Row:
    """The thing as one row, whose leaf stands for all the events that it was folded from."""
    last = thing.last
    assert last is not None, "a thing has an event"
    return Row(
        last.position, last.name, last.subject, last.source, last.occurred_at, last.occurred_on,
        thing.digest.to_bytes(32, "big"), dict(thing.fields),
    )  # fmt: skip


def _state_figure(leaf: State, bucket: list[tuple[Row, Any]]) -> Figure:
    figure = _counted([row for row, _ in bucket])
    values = [value for _, value in bucket]
    if leaf.statistic == "average":
        return _mean(figure, values)
    return _whole(figure, sum((Fraction(v) for v in values), Fraction(0)))


def _fold_duration(
    leaf: Duration, rows: Sequence[Row], frame: Frame, group_of: Grouping, where: Filter | None
) -> Figures:
    begins, ends = _steps(leaf, rows)
    asked, buckets = compile_filter(where), _Buckets(frame)
    for key, finished in ends.items():
        for begin, end in _pairs(leaf, begins.get(key, []), finished, frame):
            index = frame.index_of(end)
            fields = view_of(end)
            if index is not None and asked(fields):
                length = _length(leaf, begin, end, frame)
                buckets.add(group_of(fields), index, end, length)
    return buckets.figures(lambda bucket: _duration_figure(leaf, bucket))


def _steps(
    leaf: Duration, rows: Sequence[Row]
) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    by_subject = leaf.join == "subject"
    keys = ("$subject", "$subject") if by_subject else (leaf.join.from_, leaf.join.to)  # type: ignore[union-attr]
    found: tuple[dict[str, list[Row]], dict[str, list[Row]]] = (
        defaultdict(list),
        defaultdict(list),
    )
    for side, step in enumerate((leaf.from_, leaf.to)):
        passes, names = compile_filter(step.where), set(step.events)
        for row in rows:
            if row.name not in names:
                continue
            fields = view_of(row)
            key = lookup(fields, keys[side])
            if key is not None and passes(fields):
                found[side][str(key)].append(row)
    return found


def _pairs(
    leaf: Duration, begins: list[Row], ends: list[Row], frame: Frame
) -> Iterable[tuple[Row, Row]]:
    def not_after(begin: Row, end: Row) -> bool:
        if begin.occurred_on is None and end.occurred_on is None:
            return begin.occurred_at <= end.occurred_at
        return frame.day_of(begin) <= frame.day_of(end)

    if leaf.which == "first":
        pair = next(((b, e) for b in begins[:1] for e in ends if not_after(b, e)), None)
        return [pair] if pair else []
    pairs: dict[int, tuple[Row, Row]] = {}
    for number, end in enumerate(ends):
        before = [b for b in begins if not_after(b, end)]
        index = frame.index_of(end)
        if before and index is not None:
            # `last` keeps one end per period, `each` keeps all.
            pairs[index if leaf.which == "last" else number] = (before[-1], end)
    return pairs.values()


def _length(leaf: Duration, begin: Row, end: Row, frame: Frame) -> Fraction:
    days = (frame.day_of(end) - frame.day_of(begin)).days
    if leaf.clock == "calendar_days":
        return Fraction(days)
    if begin.occurred_on is not None or end.occurred_on is not None:
        return Fraction(days * 86_400)
    return Fraction((end.occurred_at - begin.occurred_at) // MICROSECOND, 1_000_000)


def _duration_figure(leaf: Duration, bucket: list[tuple[Row, Any]]) -> Figure:
    figure = _counted([row for row, _ in bucket])
    values = [value for _, value in bucket]
    if leaf.statistic == "average":
        return _mean(figure, values)
    figure.numerator, figure.denominator = sum(values, Fraction(0)), Fraction(len(values))
    if not values:
        figure.reason = "no_events"
        return figure
    q = Fraction(1, 2) if leaf.statistic == "median" else Fraction(str(leaf.q))
    figure.value = quantile(values, q)
    return figure
