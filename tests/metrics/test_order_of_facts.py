"""What happened first, where times alone do not tell: ties, restated facts, days without time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asking import shown
from tests.support.house import Key
from tests.support.samples import CLOSED, WON, closed, event

OPENED, STAGE = "crm.opportunity.opened", "crm.opportunity.stage_changed"
REOPENED = "crm.opportunity.reopened"
STANDS = {"kind": "state", "events": [OPENED, "crm.opportunity.closed"],
          "where": {"field": "$type", "value": OPENED}}  # fmt: skip


def moved(identity: str, stage: str, **more: Any) -> dict[str, Any]:
    return event(identity, STAGE, "2024-01-05T10:00:00Z", stage=stage, _subject="deal/1", **more)


def test_a_restated_fact_keeps_its_place_among_those_of_its_instant(key: Key) -> None:
    """Two stages at one instant; the first is sent again with a corrected amount."""
    won = {"kind": "state", "events": [STAGE], "where": {"field": "stage", "value": "Closed Won"}}
    key.events(moved("h1", "Negotiation", _sequence="1"), moved("h2", "Closed Won", _sequence="1"))
    assert shown(key, won, "2024-01") == [1]
    key.events(moved("h1", "Negotiation", _sequence="2", amount=7))
    assert shown(key, won, "2024-01") == [1]
    last = {**won, "kind": "count", "per_subject": "last_in_period"}
    assert shown(key, last, "2024-01") == [1]


def test_a_restated_opening_of_the_day_of_the_closing_does_not_open_a_deal_again(key: Key) -> None:
    day, subject = "2024-01-05", {"_subject": "deal/1"}
    key.events(event("o", OPENED, day, _sequence="1", **subject),
               closed("c", day, _sequence="1", **subject))  # fmt: skip
    key.events(event("o", OPENED, day, _sequence="2", owner="ann", **subject))
    assert shown(key, STANDS, "2024-01") == [0]
    had = {**CLOSED, "where": {"had": {"events": [OPENED]}, "by": "subject"}}
    assert shown(key, had, "2024-01") == [1]


@pytest.mark.parametrize("timed_first", [True, False])
def test_a_day_without_time_stands_behind_what_was_told_before(key: Key, timed_first: bool) -> None:
    """Opened at ten and closed some time that day, or opened that day and closed at ten."""
    moment, day, subject = "2024-01-05T10:00:00Z", "2024-01-05", {"_subject": "deal/1"}
    first, second = (moment, day) if timed_first else (day, moment)
    key.events(event("o", OPENED, first, **subject))
    key.events(closed("c", second, **subject))
    assert shown(key, STANDS, "2024-01") == [0]
    stay = {"kind": "time_in_state", "enter": {"events": [OPENED]},
            "leave": {"events": ["crm.opportunity.closed"]}, "statistic": "average"}  # fmt: skip
    assert shown(key, stay, "2024-01", unit="h") == [0], "it was there, if for no time that is told"
    standing = {**WON, "per_subject": "last_in_period", "undone_by": [REOPENED]}
    key.events(event("r", REOPENED, moment, **subject))
    assert shown(key, standing, "2024-01") == [0]
    key.events(closed("again", day, **subject))
    assert shown(key, standing, "2024-01") == [1]


def test_the_latest_figure_of_a_day_is_the_one_that_was_told_last(key: Key) -> None:
    level = {"kind": "latest", "events": ["metric.observed"], "field": "value",
             "where": {"field": "figure", "value": "level"}}  # fmt: skip
    key.events(event("1", "metric.observed", "2024-01-05T10:00:00Z", figure="level", value=1))
    key.events(event("2", "metric.observed", "2024-01-05", figure="level", value=2))
    assert shown(key, level, "2024-01") == [2]
