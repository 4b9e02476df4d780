"""Exchange rates as recorded: the last one of a day or before, direct, inverse or crossed."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from services.metrics.replay.frame import Frame, Row

RATE_EVENT = "fx.rate.observed"


class Rates:
    """All rates known: by pair, the days from which each holds."""

    def __init__(self, rows: Iterable[Row], frame: Frame) -> None:
        self._days: dict[tuple[str, str], list[date]] = defaultdict(list)
        self._rates: dict[tuple[str, str], list[Fraction]] = defaultdict(list)
        # Of several rates of a day the last one holds: by moment, then by position.
        for row in sorted(rows, key=lambda r: (frame.day_of(r), r.occurred_at, r.position)):
            rate = Fraction(row.fields["rate"])
            if rate > 0:
                pair = (str(row.fields["base"]), str(row.fields["quote"]))
                self._days[pair].append(frame.day_of(row))
                self._rates[pair].append(rate)

    def _last(self, base: str, quote: str, day: date) -> Fraction | None:
        place = bisect_right(self._days.get((base, quote), []), day)
        return self._rates[base, quote][place - 1] if place else None

    def _either_way(self, base: str, quote: str, day: date) -> Fraction | None:
        """The rate of the pair, else the inverse of the opposite pair's."""
        direct = self._last(base, quote, day)
        if direct is not None:
            return direct
        inverse = self._last(quote, base, day)
        return None if inverse is None else 1 / inverse

    def rate(self, base: str, quote: str, day: date, over: str) -> Fraction | None:
        """What one unit of `base` is worth in `quote`; crossed over a third currency if need be."""
        if base == quote:
            return Fraction(1)
        found = self._either_way(base, quote, day)
        if found is not None or over in (base, quote):
            return found
        first, second = self._either_way(base, over, day), self._either_way(over, quote, day)
        return None if first is None or second is None else first * second


@dataclass(frozen=True, slots=True)
class Exchange:
    """Conversion of amounts into one currency by recorded rates."""

    rates: Rates
    target: str
    reporting: str

    def factor(self, currency: str | None, day: date) -> Fraction | None:
        """What one unit is worth in the target; None where no rate is known."""
        if currency is None:
            return Fraction(1)
        return self.rates.rate(currency, self.target, day, self.reporting)
