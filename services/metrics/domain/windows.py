"""Windows and offsets: ISO 8601 durations and shifts by whole periods."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.periods import (
    ONE_DAY,
    Calendar,
    Period,
    PeriodError,
    add_months,
    following,
    grain_of,
    previous,
)

_ISO = re.compile(
    r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?"
    r"(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?"
)
_OFFSET = re.compile(r"([+-]?[0-9]{1,4}) (period|day|week|month|quarter|year)s?")
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
# How many periods of a grain an offset by a unit is, where both are counted alike.
_STEPS = {
    ("day", "day"): 1, ("week", "week"): 1, ("month", "month"): 1, ("quarter", "quarter"): 1,
    ("year", "year"): 1, ("fiscal_month", "month"): 1, ("fiscal_month", "quarter"): 3,
    ("fiscal_month", "year"): 12, ("fiscal_quarter", "quarter"): 1, ("fiscal_quarter", "year"): 4,
    ("fiscal_year", "year"): 1,
}  # fmt: skip
_MOST = {"period": 120, "day": 3_660, "week": 520, "month": 240, "quarter": 80, "year": 20}
MAX_DAYS = 36_600


@dataclass(frozen=True, slots=True)
class Window:
    """A length of time: calendar months and days of the organisation's zone, and seconds."""

    months: int
    days: int
    seconds: int

    def after(self, moment: datetime, calendar: Calendar) -> datetime:
        """The moment at which a window that begins at `moment` ends."""
        return self._moved(moment, calendar, 1)

    def before(self, moment: datetime, calendar: Calendar) -> datetime:
        """The moment at which a window that ends at `moment` begins."""
        return self._moved(moment, calendar, -1)

    def day_before(self, day: date) -> date:
        """The first day of a window of whole days that ends before `day`."""
        return add_months(day, -self.months) - timedelta(days=self.days)

    def _moved(self, moment: datetime, calendar: Calendar, sign: int) -> datetime:
        if self.months or self.days:
            local = calendar.clock.local(moment)
            day = add_months(local.date(), sign * self.months) + timedelta(days=sign * self.days)
            moment = calendar.clock.moment(datetime.combine(day, local.time()))
        return moment + timedelta(seconds=sign * self.seconds)


def parse_window(text: str) -> Window:
    """A window from P90D, P12M, P2W, PT8H; `ValueError` says what is wrong."""
    match = _ISO.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise ValueError(f"{text!r} is no duration; write P90D, P12M, P2W or PT8H")
    years, months, weeks, days, hours, minutes, seconds = (int(g or 0) for g in match.groups())
    window = Window(years * 12 + months, weeks * 7 + days, hours * 3600 + minutes * 60 + seconds)
    if window == Window(0, 0, 0):
        raise ValueError(f"{text!r} is a window of no length; it must be longer than 0")
    if window.months * 31 + window.days + window.seconds / 86_400 > MAX_DAYS:
        raise ValueError(f"{text!r} is longer than {MAX_DAYS} days")
    return window


def _is_window(text: str) -> str:
    parse_window(text)
    return text


def _is_whole_days(text: str) -> str:
    if parse_window(text).seconds:
        raise ValueError(f"{text!r} is not made of whole days; write P90D or P12M")
    return text


WindowText = Annotated[
    str,
    Field(max_length=40, description="ISO 8601 duration", examples=["P90D"]),
    AfterValidator(_is_window),
]
DaysText = Annotated[
    str,
    Field(max_length=40, description="ISO 8601 duration of whole days", examples=["P90D"]),
    AfterValidator(_is_whole_days),
]


def _is_offset(text: str) -> str:
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no offset; write `-1 quarter` or `-1 period`")
    most = _MOST[match[2]]
    if abs(int(match[1])) > most:
        raise ValueError(f"{text!r} is too far; at most {most} {match[2]}s")
    return text


OffsetText = Annotated[
    str,
    Field(max_length=40, description="Shift by whole periods", examples=["-1 quarter"]),
    AfterValidator(_is_offset),
]


def shifted(period: Period, offset: str, calendar: Calendar) -> Period:
    """The period that lies an offset away; `PeriodError` where it leaves the calendar."""
    match = _OFFSET.fullmatch(offset)
    assert match is not None, "offsets are checked when a definition is saved"
    count, unit = int(match[1]), match[2]
    steps = _STEPS.get((grain_of(period.name) or "", unit), 1 if unit == "period" else None)
    if steps is not None:
        return _neighbour(period, count * steps, calendar)
    in_months = _MONTHS.get(unit)
    try:
        if in_months and grain_of(period.name) != "week":
            start = add_months(period.start, count * in_months)
            end = max(add_months(period.end, count * in_months), start + ONE_DAY)
        else:
            # Weeks keep their weekdays: 52 weeks a year, 13 a quarter, 4 a month.
            per_unit = {"day": 1, "week": 7, "month": 28, "quarter": 91, "year": 364}[unit]
            shift = timedelta(days=count * per_unit)
            start, end = period.start + shift, period.end + shift
    except (OverflowError, ValueError) as error:
        raise PeriodError(f"{offset} from {period.name} leaves the calendar.") from error
    return Period(f"{start}..{end}", start, end)


def _neighbour(period: Period, count: int, calendar: Calendar) -> Period:
    step = previous if count < 0 else following
    for _ in range(abs(count)):
        period = step(period, calendar)
    return period
