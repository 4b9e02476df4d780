"""Periods by name and the calendar that gives them their bounds."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, get_args

from shared.zones import FIRST_YEAR, LAST_YEAR, Transitions, Zone, transitions_of, zone_of

Grain = Literal[
    "day", "week", "month", "quarter", "year", "fiscal_month", "fiscal_quarter", "fiscal_year"
]
GRAINS: tuple[str, ...] = get_args(Grain)
ONE_DAY = timedelta(days=1)
FiscalWeeks = Literal["4-4-5", "4-5-4", "5-4-4"]


class PeriodError(ValueError):
    """A period name that no calendar can give bounds to."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """How an organisation counts its days: zone, first day of the week, start of its year.

    `week_start` is 1 for Monday to 7 for Sunday. A fiscal year is named by the calendar year in
    which it ends (or starts, where `fiscal_name` says so). With `fiscal_weeks` it consists of whole
    weeks: it begins on the `week_start` nearest to the first of `fiscal_start_month` (or, with
    `fiscal_begins` "on_or_before", on the last one not after it), and its quarters of 13 weeks have
    months of 4, 4 and 5 weeks or as the pattern says; a 53rd week belongs to the last month.
    `transitions` are the zone's offsets as recorded; None takes those of this machine.
    """

    zone: str = "UTC"
    week_start: int = 1
    fiscal_start_month: int = 1
    fiscal_name: Literal["end", "start"] = "end"
    currency: str = "EUR"
    fiscal_weeks: FiscalWeeks | None = None
    fiscal_begins: Literal["nearest", "on_or_before"] = "nearest"
    transitions: Transitions | None = None

    @property
    def offsets(self) -> Transitions:
        """The zone's offsets, as recorded or as this machine has them."""
        return self.transitions or transitions_of(self.zone)

    @property
    def clock(self) -> Zone:
        return zone_of(self.offsets)

    def instant(self, day: date) -> datetime:
        """The moment at which a day begins here, in UTC."""
        return self.clock.moment(datetime(day.year, day.month, day.day))  # noqa: DTZ001

    def day_of(self, moment: datetime) -> date:
        """The local day of a moment."""
        return self.clock.day_of(moment)


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span of local days with the name that it goes by."""

    name: str
    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days


def parse_period(name: str, calendar: Calendar) -> Period:
    """The period of that name; `PeriodError` says what is wrong and which forms there are."""
    for pattern, build in _FORMS:
        match = pattern.fullmatch(name)
        if match:
            try:
                start, end = build(match, calendar)
            except (ValueError, OverflowError) as error:
                raise PeriodError(f"{name!r} is not a real period: {error}.") from error
            if start >= end:
                raise PeriodError(f"{name!r} ends before it begins.")
            _demand_in_range(start, end)
            return Period(name, start, end)
    raise PeriodError(
        f"{name!r} is no period. Write 2025-Q3, 2025-07, 2025-W31, 2025-07-14, 2025, FY2026, "
        "FY2026-Q1, FY2026-P03 or 2025-01-01..2025-04-01 (the end is exclusive)."
    )


def _demand_in_range(start: date, end: date) -> None:
    if start.year < FIRST_YEAR or end.year > LAST_YEAR:
        raise PeriodError(f"Periods lie between {FIRST_YEAR} and {LAST_YEAR}.")


def grain_of(name: str) -> Grain | None:
    """The grain that a period name tells, or None for a free span."""
    for pattern, grain in _GRAIN_FORMS:
        if pattern.fullmatch(name):
            return grain
    return None


def split(start: date, end: date, grain: Grain, calendar: Calendar) -> list[Period]:
    """The periods of a grain that begin in [start, end), the first one holding `start`."""
    return list(periods_from(start, end, grain, calendar))


def periods_from(start: date, end: date, grain: Grain, calendar: Calendar) -> Iterator[Period]:
    """The periods of a grain that begin in [start, end), one after the other."""
    _demand_in_range(start, end)
    current = period_holding(start, grain, calendar)
    while current.start < end:
        yield current
        current = period_holding(current.end, grain, calendar)


def previous(period: Period, calendar: Calendar) -> Period:
    """The period before, of the same grain (of the same number of days for a free span)."""
    grain = grain_of(period.name)
    try:
        if grain is None:
            start = period.start - timedelta(days=period.days)
            found = Period(f"{start}..{period.start}", start, period.start)
        else:
            found = period_holding(period.start - ONE_DAY, grain, calendar)
        _demand_in_range(found.start, found.end)
        return found
    except (OverflowError, ValueError) as error:
        raise PeriodError(f"Nothing lies before {period.name}.") from error


def following(period: Period, calendar: Calendar) -> Period:
    """The period after, of the same grain (of the same number of days for a free span)."""
    grain = grain_of(period.name)
    try:
        if grain is None:
            end = period.end + timedelta(days=period.days)
            return Period(f"{period.end}..{end}", period.end, end)
        return period_holding(period.end, grain, calendar)
    except (OverflowError, ValueError) as error:
        raise PeriodError(f"Nothing lies after {period.name}.") from error


def trailing(last: Period, count: int, calendar: Calendar) -> list[Period]:
    """`count` consecutive periods of which `last` is the last."""
    periods = [last]
    while len(periods) < count:
        periods.append(previous(periods[-1], calendar))
    return periods[::-1]


def period_holding(day: date, grain: Grain, calendar: Calendar) -> Period:
    """The period of a grain in which a day lies."""
    match grain:
        case "day":
            return Period(day.isoformat(), day, day + ONE_DAY)
        case "week":
            start = day - timedelta(days=(day.isoweekday() - calendar.week_start) % 7)
            return Period(_week_name(start), start, start + timedelta(days=7))
        case "month":
            return _months(f"{day.year:04}-{day.month:02}", date(day.year, day.month, 1), 1)
        case "quarter":
            quarter = (day.month - 1) // 3
            return _months(f"{day.year:04}-Q{quarter + 1}", date(day.year, quarter * 3 + 1, 1), 3)
        case "year":
            return _months(f"{day.year:04}", date(day.year, 1, 1), 12)
        case "fiscal_month" | "fiscal_quarter" | "fiscal_year":
            return _fiscal_holding(day, grain, calendar)


def _fiscal_holding(day: date, grain: Grain, calendar: Calendar) -> Period:
    year = _nominal_year(day, calendar)
    named = year + (calendar.fiscal_name == "end" and calendar.fiscal_start_month > 1)
    start, end = _fiscal_start(year, calendar), _fiscal_start(year + 1, calendar)
    if grain == "fiscal_year":
        return Period(f"FY{named:04}", start, end)
    parts, letter = (4, "Q") if grain == "fiscal_quarter" else (12, "P")
    bounds = _fiscal_parts(year, parts, calendar)
    index = bisect_right(bounds, day) - 1
    number = f"{index + 1}" if parts == 4 else f"{index + 1:02}"
    return Period(f"FY{named:04}-{letter}{number}", bounds[index], [*bounds[1:], end][index])


def _nominal_year(day: date, calendar: Calendar) -> int:
    """The calendar year in whose `fiscal_start_month` the fiscal year of a day begins."""
    year = day.year + 1
    while _fiscal_start(year, calendar) > day:
        year -= 1
    return year


def _fiscal_start(year: int, calendar: Calendar) -> date:
    first = date(year, calendar.fiscal_start_month, 1)
    if calendar.fiscal_weeks is None:
        return first
    back = (first.isoweekday() - calendar.week_start) % 7
    if calendar.fiscal_begins == "nearest" and back > 3:
        back -= 7
    return first - timedelta(days=back)


def _fiscal_parts(year: int, parts: int, calendar: Calendar) -> list[date]:
    """The first days of a fiscal year's quarters (4) or months (12)."""
    start = _fiscal_start(year, calendar)
    if calendar.fiscal_weeks is None:
        return [_add_months(start, n * (12 // parts)) for n in range(parts)]
    weeks = [int(n) for n in calendar.fiscal_weeks.split("-")] * 4 if parts == 12 else [13] * 4
    return [start + timedelta(weeks=sum(weeks[:n])) for n in range(parts)]


def _months(name: str, start: date, count: int) -> Period:
    return Period(name, start, _add_months(start, count))


def _add_months(day: date, count: int) -> date:
    index = day.year * 12 + day.month - 1 + count
    return date(index // 12, index % 12 + 1, day.day)


def add_months(day: date, count: int) -> date:
    """The same day of a later (or earlier) month, or that month's last day."""
    first = _add_months(day.replace(day=1), count)
    last = (_add_months(first, 1) - ONE_DAY).day
    return first.replace(day=min(day.day, last))


def _week_name(start: date) -> str:
    # A week is named after the ISO week that holds its fourth day, whatever day it starts on.
    iso = (start + timedelta(days=3)).isocalendar()
    return f"{iso.year:04}-W{iso.week:02}"


def _bounds_of(period: Period) -> tuple[date, date]:
    return period.start, period.end


def _year(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    return _bounds_of(period_holding(date(int(match[1]), 1, 1), "year", calendar))


def _quarter(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    start = date(int(match[1]), int(match[2]) * 3 - 2, 1)
    return _bounds_of(period_holding(start, "quarter", calendar))


def _month(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    start = date(int(match[1]), int(match[2]), 1)
    return _bounds_of(period_holding(start, "month", calendar))


def _week(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
    middle = monday + timedelta(days=3)
    start = middle - timedelta(days=3)
    # The week whose fourth day lies in this ISO week, for weeks that do not start on Monday.
    for shift in range(-6, 7):
        candidate = period_holding(start + timedelta(days=shift), "week", calendar)
        if candidate.name == match[0]:
            return _bounds_of(candidate)
    raise ValueError("no such week")


def _day(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    start = date.fromisoformat(match[0])
    return start, start + ONE_DAY


def _named_year(match: re.Match[str], calendar: Calendar) -> int:
    starts_earlier = calendar.fiscal_name == "end" and calendar.fiscal_start_month > 1
    return int(match[1]) - starts_earlier


def _fiscal_year(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    year = _named_year(match, calendar)
    return _fiscal_start(year, calendar), _fiscal_start(year + 1, calendar)


def _fiscal_part(match: re.Match[str], calendar: Calendar, parts: int) -> tuple[date, date]:
    year = _named_year(match, calendar)
    bounds = [*_fiscal_parts(year, parts, calendar), _fiscal_start(year + 1, calendar)]
    index = int(match[2]) - 1
    return bounds[index], bounds[index + 1]


def _fiscal_quarter(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    return _fiscal_part(match, calendar, 4)


def _fiscal_month(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    return _fiscal_part(match, calendar, 12)


def _span(match: re.Match[str], calendar: Calendar) -> tuple[date, date]:
    return date.fromisoformat(match[1]), date.fromisoformat(match[2])


_DATE = r"\d{4}-\d{2}-\d{2}"
_FORMS = (
    (re.compile(r"(\d{4})"), _year),
    (re.compile(r"(\d{4})-Q([1-4])"), _quarter),
    (re.compile(r"(\d{4})-(\d{2})"), _month),
    (re.compile(r"(\d{4})-W(\d{2})"), _week),
    (re.compile(_DATE), _day),
    (re.compile(r"FY(\d{4})"), _fiscal_year),
    (re.compile(r"FY(\d{4})-Q([1-4])"), _fiscal_quarter),
    (re.compile(r"FY(\d{4})-P(0[1-9]|1[0-2])"), _fiscal_month),
    (re.compile(rf"({_DATE})\.\.({_DATE})"), _span),
)
_GRAIN_FORMS: tuple[tuple[re.Pattern[str], Grain], ...] = (
    (re.compile(r"\d{4}"), "year"),
    (re.compile(r"\d{4}-Q[1-4]"), "quarter"),
    (re.compile(r"\d{4}-\d{2}"), "month"),
    (re.compile(r"\d{4}-W\d{2}"), "week"),
    (re.compile(_DATE), "day"),
    (re.compile(r"FY\d{4}"), "fiscal_year"),
    (re.compile(r"FY\d{4}-Q[1-4]"), "fiscal_quarter"),
    (re.compile(r"FY\d{4}-P\d{2}"), "fiscal_month"),
)
