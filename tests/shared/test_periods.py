"""Periods: every name has bounds, and neighbours meet without gap."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.periods import (
    GRAINS,
    Calendar,
    Grain,
    PeriodError,
    add_months,
    following,
    grain_of,
    parse_period,
    period_holding,
    previous,
    split,
    trailing,
)

FISCAL = Calendar(fiscal_start_month=7)
CALENDARS = [Calendar(), FISCAL, Calendar(week_start=7, fiscal_start_month=4, fiscal_name="start")]


@pytest.mark.parametrize(
    ("name", "calendar", "start", "end"),
    [
        ("2025", Calendar(), "2025-01-01", "2026-01-01"),
        ("2025-Q3", Calendar(), "2025-07-01", "2025-10-01"),
        ("2025-12", Calendar(), "2025-12-01", "2026-01-01"),
        ("2025-W01", Calendar(), "2024-12-30", "2025-01-06"),
        ("2024-02-29", Calendar(), "2024-02-29", "2024-03-01"),
        ("2025-01-10..2025-02-01", Calendar(), "2025-01-10", "2025-02-01"),
        ("FY2026", FISCAL, "2025-07-01", "2026-07-01"),
        ("FY2026-Q1", FISCAL, "2025-07-01", "2025-10-01"),
        ("FY2026", Calendar(fiscal_start_month=7, fiscal_name="start"), "2026-07-01", "2027-07-01"),
        ("FY2026-Q4", Calendar(), "2026-10-01", "2027-01-01"),
        ("2025-W31", Calendar(week_start=7), "2025-07-27", "2025-08-03"),
    ],
)
def test_a_name_has_its_bounds(name: str, calendar: Calendar, start: str, end: str) -> None:
    period = parse_period(name, calendar)
    assert (period.start.isoformat(), period.end.isoformat()) == (start, end)


@pytest.mark.parametrize(
    "name",
    [
        "2025-Q5",
        "2025-13",
        "2025-W54",
        "2025-02-30",
        "Q3 2025",
        "",
        "2025-01-02..2025-01-02",
        "9999",
        "25",
    ],
)
def test_an_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(PeriodError):
        parse_period(name, Calendar())


@given(
    st.dates(date(1970, 1, 1), date(2100, 1, 1)),
    st.sampled_from(GRAINS),
    st.sampled_from(CALENDARS),
)
def test_the_period_that_holds_a_day_has_a_name_that_reads_back(
    day: date, grain: Grain, calendar: Calendar
) -> None:
    period = period_holding(day, grain, calendar)
    assert period.start <= day < period.end
    assert parse_period(period.name, calendar) == period
    assert grain_of(period.name) == grain
    assert following(period, calendar).start == period.end
    assert previous(following(period, calendar), calendar) == period


def test_splitting_and_trailing_leave_no_gap() -> None:
    months = split(date(2024, 1, 15), date(2025, 1, 1), "month", Calendar())
    assert [m.name for m in months[:2]] == ["2024-01", "2024-02"]
    assert len(months) == 12
    last = parse_period("2025-Q1", Calendar())
    names = [p.name for p in trailing(last, 3, Calendar())]
    assert names == ["2024-Q3", "2024-Q4", "2025-Q1"]


def test_a_day_begins_when_it_begins_there_also_when_clocks_change() -> None:
    berlin = Calendar(zone="Europe/Berlin")
    assert berlin.instant(date(2025, 3, 30)) == datetime(2025, 3, 29, 23, tzinfo=UTC)
    assert berlin.instant(date(2025, 3, 31)) == datetime(2025, 3, 30, 22, tzinfo=UTC)
    assert berlin.day_of(datetime(2025, 3, 30, 22, 30, tzinfo=UTC)) == date(2025, 3, 31)


def test_the_same_day_of_a_shorter_month_is_its_last() -> None:
    assert add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert add_months(date(2024, 3, 31), -1) == date(2024, 2, 29)


@pytest.mark.parametrize("zone", ["America/St_Johns", "America/Sao_Paulo", "Antarctica/Casey"])
def test_a_day_that_has_begun_goes_on_when_clocks_are_set_back_over_midnight(zone: str) -> None:
    """The day of a moment is the last one that begins at or before it, whatever clocks show."""
    days = Calendar(zone=zone)
    for second, _ in days.offsets:
        if not datetime(2000, 1, 1, tzinfo=UTC).timestamp() < second < 1_300_000_000:
            continue
        for minute in range(-300, 300, 7):
            moment = datetime.fromtimestamp(second, UTC) + timedelta(minutes=minute)
            found = days.day_of(moment)
            assert days.instant(found) <= moment < days.instant(found + timedelta(days=1))
