"""Business hours: how much of a span of time lies within them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction

from shared.clock import MICROSECOND
from shared.periods import ONE_DAY, Calendar


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """The organisation's working days (1 = Monday), hours of the local day and holidays."""

    days: tuple[int, ...] = (1, 2, 3, 4, 5)
    opens: time = time(9)
    closes: time = time(17)
    holidays: frozenset[date] = frozenset()

    @property
    def day_seconds(self) -> int:
        """The length of a working day."""
        start, end = (t.hour * 3600 + t.minute * 60 for t in (self.opens, self.closes))
        return (end or 86_400) - start

    def is_open(self, day: date) -> bool:
        return day.isoweekday() in self.days and day not in self.holidays

    def seconds_between(self, begin: datetime, end: datetime, calendar: Calendar) -> Fraction:
        """Seconds of business time from one moment to another."""
        first, last = calendar.day_of(begin), calendar.day_of(end)
        if first == last:
            return self._overlap(first, begin, end, calendar)
        inner = self._working_days(first + ONE_DAY, last)
        whole = sum((self._length(day, calendar) for day in inner), Fraction(0))
        opening = self._overlap(first, begin, end, calendar)
        return opening + whole + self._overlap(last, begin, end, calendar)

    def _working_days(self, start: date, end: date) -> list[date]:
        count = (end - start).days
        days = (start + timedelta(days=n) for n in range(count))
        return [day for day in days if self.is_open(day)]

    def _bounds(self, day: date, calendar: Calendar) -> tuple[datetime, datetime]:
        closing = day + ONE_DAY if self.closes == time(0) else day
        clock = calendar.clock
        return (
            clock.moment(datetime.combine(day, self.opens)),
            clock.moment(datetime.combine(closing, self.closes)),
        )

    def _length(self, day: date, calendar: Calendar) -> Fraction:
        opens, closes = self._bounds(day, calendar)
        return _seconds(closes - opens)

    def _overlap(self, day: date, begin: datetime, end: datetime, calendar: Calendar) -> Fraction:
        if not self.is_open(day):
            return Fraction(0)
        opens, closes = self._bounds(day, calendar)
        span = min(closes, end) - max(opens, begin)
        return max(_seconds(span), Fraction(0))


def _seconds(span: timedelta) -> Fraction:
    return Fraction(span // MICROSECOND, 1_000_000)
