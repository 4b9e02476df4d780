"""Figures from the numbers and sums of days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

import numpy as np

from services.metrics.domain.definition import Simple
from services.metrics.replay.cells.chunk import SCALE, Chunk
from services.metrics.replay.cells.columns import added_up, digest_of, taken, whole_sum
from services.metrics.replay.cells.wanted import Gathered, Wanted
from services.metrics.replay.frame import DIGEST_MODULUS, Figure, Figures, Group
from services.metrics.replay.lens import mean, whole


class SumFold:
    """Figures of numbers and sums."""

    def __init__(self, wanted: Wanted, chunks: Sequence[Chunk]) -> None:
        self._wanted = wanted
        self._gathered = Gathered(wanted, chunks, [chunk.sums for chunk in chunks])
        self._table = self._gathered.table
        if not self._table.size:
            return
        self._period = wanted.periods_of(self._table["day"])
        counts = (self._period >= 0) & (self._gathered.group[self._table["key"]] >= 0)
        if wanted.cuts:
            counts &= ~self._gathered.hidden()
        if not counts.all():
            self._table = taken(self._table, counts)
            self._period = self._period[counts]

    def days(self) -> list[set[date]]:
        """The days of each period on which anything is counted."""
        found: list[set[date]] = [set() for _ in self._wanted.frame.periods]
        columns = self._table
        if columns.size:
            span = int(columns["day"].max()) + 1
            codes, sums = added_up(self._period * span + columns["day"], columns, ["count"])
            for code in codes[sums["count"] != 0].tolist():
                found[code // span].add(date.fromordinal(code % span))
        return found

    def figures(self) -> Figures:
        """One figure for each group and period."""
        size, leaf = len(self._wanted.frame.periods), self._wanted.series.leaf
        totals: dict[Group, list[_Total]] = {}
        if self._table.size:
            self._add_up(totals, size)
        made = {
            group: [total.figure(leaf) for total in found]
            for group, found in totals.items()
            if any(total.count for total in found)
        }
        return Figures(made, [_Total().figure(leaf) for _ in range(size)])

    def _add_up(self, totals: dict[Group, list[_Total]], size: int) -> None:
        gathered, exchange = self._gathered, self._wanted.exchange
        columns = self._table
        currencies = sorted({currency or "" for currency in gathered.currency}) or [""]
        place_of = {currency: place for place, currency in enumerate(currencies)}
        currency_of_key = np.array([place_of[c or ""] for c in gathered.currency] or [0])
        groups, spoken = max(len(gathered.groups), 1), len(currencies)
        code = self._period * groups + gathered.group[columns["key"]]
        code = code * spoken + currency_of_key[columns["key"]]
        span = int(columns["day"].max()) + 1 if exchange else 1
        if exchange:
            # A rate holds for a day, so that days are told apart as well.
            code = code * span + columns["day"]
        summing = self._wanted.series.leaf.kind in ("sum", "average")
        names = ("count", "limbs", "high", "low") if summing else ("count", "limbs")
        codes, sums = added_up(code, columns, names)
        counts, digests = sums["count"].tolist(), sums["limbs"].tolist()
        for place, number in enumerate(codes.tolist()):
            rest, day = divmod(number, span)
            rest, spoke = divmod(rest, spoken)
            index, group = divmod(rest, groups)
            own = totals.setdefault(gathered.groups[group], [_Total() for _ in range(size)])[index]
            currency, count = currencies[spoke] or None, counts[place]
            total = whole_sum(sums["high"], sums["low"], place) if summing else 0
            own.digest += digest_of(digests[place])
            own.add(count, total, currency)
            if exchange:
                own.convert(count, total, exchange.factor(currency, date.fromordinal(day)))


class _Total:
    """What one group adds up to in one period."""

    __slots__ = ("converted", "count", "currencies", "digest", "missing", "whole")

    def __init__(self) -> None:
        self.count = self.whole = self.digest = self.missing = 0
        self.converted: Fraction | None = None
        self.currencies: dict[str, int] = {}

    def add(self, count: int, total: int, currency: str | None) -> None:
        self.count += count
        self.whole += total
        if currency:
            self.currencies[currency] = self.currencies.get(currency, 0) + count

    def convert(self, count: int, total: int, factor: Fraction | None) -> None:
        """Take in a sum at a rate instead; without one its events are told as missing it."""
        before = self.converted or Fraction(0)
        self.converted = before if factor is None else before + total * factor
        if factor is None:
            self.missing += count

    def figure(self, leaf: Simple) -> Figure:
        currencies = frozenset(c for c, count in self.currencies.items() if count)
        figure = Figure(n=self.count, digest=self.digest % DIGEST_MODULUS, currencies=currencies)
        if self.missing:
            figure.reason = "missing_rate"
            return figure
        if leaf.kind == "count":
            return whole(figure, Fraction(self.count))
        total = Fraction(self.whole if self.converted is None else self.converted) / SCALE
        return (
            whole(figure, total)
            if leaf.kind == "sum"
            else mean(figure, total, Fraction(self.count))
        )
