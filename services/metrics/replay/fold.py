"""The plain fold: from the events of a ledger to exact figures per group and period."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from services.metrics.domain.definition import Conversion, Duration, Leaf, Simple, State
from services.metrics.replay.frame import (
    Figure,
    Row,
    view_of,
)
from services.metrics.replay.lens import (
    Buckets,
    Lens,
    Values,
    converted,
    counted,
    mean,
    number_reader,
    quantile,
    text_reader,
    whole,
)
from services.metrics.replay.standing import fold_state, state_figure
from services.metrics.replay.steps import fold_conversion, fold_duration, fold_time_in_state


@dataclass(frozen=True)
class Folded:
    """The buckets of a leaf and how a figure is made of one."""

    buckets: Buckets
    make: Any


def fold(leaf: Leaf, rows: Sequence[Row], lens: Lens) -> Folded:
    """A leaf's rows by group and period; `rows` come in `Row.order`."""
    match leaf:
        case Simple():
            return Folded(_fold_simple(leaf, rows, lens), lambda b: _simple_figure(leaf, b))
        case State():
            return Folded(fold_state(leaf, rows, lens), lambda b: state_figure(leaf, b))
        case Duration():
            return Folded(*fold_duration(leaf, rows, lens))
        case Conversion():
            return Folded(*fold_conversion(leaf, rows, lens))
        case _:
            return Folded(*fold_time_in_state(leaf, rows, lens))


def _fold_simple(leaf: Simple, rows: Sequence[Row], lens: Lens) -> Buckets:
    own, asked, frame = lens.passes(leaf.where), lens.asked, lens.frame
    if leaf.carry_forward:
        return _fold_carried(leaf, rows, lens)
    inside = [(i, r) for r in rows if (i := frame.index_of(r)) is not None]
    if leaf.per_subject == "last_in_period":
        inside = _last_of_each_subject(inside)
    buckets, wanted, numeric = Buckets(lens), set(leaf.events), leaf.kind != "distinct"
    number = number_reader(leaf.field) if leaf.field and numeric else None
    text = text_reader(leaf.field)
    for index, row in inside:
        fields = view_of(row)
        if row.name not in wanted or not own(fields) or not asked(fields):
            continue
        value: Any = 1 if leaf.kind == "count" else number(fields) if number else text(fields)
        if value is not None:
            if number:
                value = converted(lens, value, fields, frame.day_of(row))
            buckets.add(lens.group_of(fields), index, row, value)
    return buckets


def _fold_carried(leaf: Simple, rows: Sequence[Row], lens: Lens) -> Buckets:
    """For each period the last value of each group so far."""
    own, asked, frame = lens.passes(leaf.where), lens.asked, lens.frame
    assert leaf.field is not None, "`latest` has its field"
    number, buckets = number_reader(leaf.field), Buckets(lens)
    entering: list[list[Row]] = [[] for _ in [*frame.periods, None]]
    for row in rows:
        entering[frame.first_ending_after(row)].append(row)
    last: dict[Any, tuple[Row, Any]] = {}
    for index in range(len(frame.periods)):
        for row in entering[index]:
            fields = view_of(row)
            wanted = row.name in leaf.events and own(fields) and asked(fields)
            value: Any = number(fields) if wanted else None
            if value is not None:
                value = converted(lens, value, fields, frame.day_of(row))
                last[lens.group_of(fields)] = (row, value)
        for group, (row, value) in last.items():
            buckets.add(group, index, row, value)
    return buckets


def _last_of_each_subject(inside: Iterable[tuple[int, Row]]) -> list[tuple[int, Row]]:
    last: dict[tuple[int, str], Row] = {}
    for index, row in inside:
        key = (index, row.subject or f"#{row.position}")
        if key not in last or last[key].order < row.order:
            last[key] = row
    return [(index, row) for (index, _), row in last.items()]


def _simple_figure(leaf: Simple, bucket: Values) -> Figure:
    figure = counted([row for row, _ in bucket])
    values = [value for _, value in bucket]
    match leaf.kind:
        case "count":
            return whole(figure, Fraction(len(values)))
        case "distinct":
            return whole(figure, Fraction(len(set(values))))
        case "sum":
            return whole(figure, sum(values, Fraction(0)))
        case "average":
            return mean(figure, sum(values, Fraction(0)), Fraction(len(values)))
        case "min" | "max" | "percentile" | "latest" if not values:
            figure.reason = "no_events"
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
