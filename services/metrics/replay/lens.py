"""How a fold looks at events: groups, filters, currencies and the time of knowledge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from services.metrics.domain.business import BusinessHours
from services.metrics.domain.definition import summands
from services.metrics.domain.filters import Filter, Predicate, compile_filter, lookup
from services.metrics.replay.frame import (
    DIGEST_MODULUS,
    Figure,
    Figures,
    Frame,
    Group,
    Grouping,
    Row,
    shown,
)
from services.metrics.replay.rates import Exchange
from services.metrics.replay.related import Related

Values = list[tuple[Row, Any]]


class _Missing:
    """An amount for whose currency no rate is known."""


MISSING = _Missing()


@dataclass(frozen=True)
class Lens:
    """What a question wants to see of the events that a leaf folds.

    `exchange` converts amounts where the leaf adds up money; `unit_seconds` is how many seconds one
    unit of a duration has.
    """

    frame: Frame
    group_of: Grouping
    where: Filter | None
    related: Related
    known_at: datetime
    business: BusinessHours
    exchange: Exchange | None = None
    unit_seconds: int = 1

    def passes(self, where: Filter | None) -> Predicate:
        return compile_filter(where, self.related)

    @property
    def asked(self) -> Predicate:
        return self.passes(self.where)


class Buckets:
    """Rows with their values, by group and period."""

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        self._rows: dict[Group, list[Values]] = {}

    def add(self, group: Group, index: int, row: Row, value: Any) -> None:
        if group not in self._rows:
            self._rows[group] = [[] for _ in self._lens.frame.periods]
        self._rows[group][index].append((row, value))

    def figures(self, make: Callable[[Values], Figure]) -> Figures:
        """One figure for each bucket, and one for each period of a group without any row."""

        def make_all(buckets: Sequence[Values]) -> list[Figure]:
            made = [_or_missing(bucket, make) for bucket in buckets]
            for index in self._lens.related.pending:
                made[index].pending = True
            return made

        nothing: list[Values] = [[] for _ in self._lens.frame.periods]
        groups = {group: make_all(buckets) for group, buckets in self._rows.items()}
        return Figures(groups, make_all(nothing))

    def rows(self) -> list[Row]:
        """All rows that entered any figure, in order of occurrence."""
        found = {
            row.position: row
            for buckets in self._rows.values()
            for bucket in buckets
            for row, _ in bucket
        }
        return sorted(found.values(), key=lambda row: row.order)


def _or_missing(bucket: Values, make: Callable[[Values], Figure]) -> Figure:
    if not any(value is MISSING for _, value in bucket):
        return make(bucket)
    figure = counted([row for row, _ in bucket])
    figure.reason = "missing_rate"
    return figure


def counted(rows: Sequence[Row]) -> Figure:
    """A figure without value yet: number, digest and currencies of its events."""
    digest = sum(int.from_bytes(row.leaf, "big") for row in rows) % DIGEST_MODULUS
    currencies = frozenset(str(c) for row in rows if (c := row.fields.get("currency")))
    return Figure(n=len(rows), digest=digest, currencies=currencies)


def whole(figure: Figure, value: Fraction) -> Figure:
    figure.value = figure.numerator = value
    return figure


def mean(figure: Figure, total: Fraction, count: Fraction) -> Figure:
    figure.numerator, figure.denominator = total, count
    if count:
        figure.value = total / count
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


def number_reader(field: str) -> Callable[[Mapping[str, Any]], Fraction | None]:
    """Reads the sum of the fields that are numbers; None where none of them is."""
    names = summands(field)

    def read(fields: Mapping[str, Any]) -> Fraction | None:
        values = [lookup(fields, name) for name in names]
        numbers = [v for v in values if isinstance(v, int | Decimal) and not isinstance(v, bool)]
        return sum((Fraction(v) for v in numbers), Fraction(0)) if numbers else None

    return read


def text_reader(field: str | None) -> Callable[[Mapping[str, Any]], str | None]:
    """Reads what is counted distinct."""
    name = text_field(field)
    return lambda fields: text_of(lookup(fields, name))


def text_field(field: str | None) -> str:
    """What is counted distinct: a field, or the subject."""
    return "$subject" if field is None else summands(field)[0]


def text_of(value: Any) -> str | None:
    """A value as it is told apart from others; None where there is none."""
    return None if value in (None, "") else shown(value)


def converted(lens: Lens, value: Fraction, fields: Mapping[str, Any], day: date) -> Any:
    """An amount in the currency asked for; MISSING without a rate."""
    if lens.exchange is None:
        return value
    currency = fields.get("currency")
    factor = lens.exchange.factor(str(currency) if currency else None, day)
    return MISSING if factor is None else value * factor
