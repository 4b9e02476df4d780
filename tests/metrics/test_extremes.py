"""Questions at the edges: far, large, early, odd; each gets an answer, a reason or a refusal."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.asking import answer, shown
from tests.support.house import Key
from tests.support.samples import CLOSED, WON, closed, event

REVENUE = {**WON, "kind": "sum", "field": "amount"}


def define(key: Key, definition: dict[str, Any], unit: str = "count", **more: Any) -> Any:
    body = {"key": "x", "name": "X", "unit": unit, "definition": definition, **more}
    return key.send("POST", "metrics", "/v1/metrics", json=body)


@pytest.mark.parametrize("offset", ["-9999 year", "9999 period", "-121 period", "21 year"])
def test_an_offset_that_leads_too_far_is_refused(key: Key, offset: str) -> None:
    inputs = {"a": {"definition": CLOSED, "offset": offset}}
    problem = define(key, {"kind": "derived", "expression": "a + 1", "inputs": inputs})
    assert problem.status_code == 422
    assert "too far" in problem.json()["errors"][0]["detail"]


def test_fiscal_offsets_count_fiscal_periods(key: Key) -> None:
    """A retail year of 53 weeks lies between: a year earlier is the year before, not 364 days."""
    calendar = {"week_start": 7, "fiscal_start_month": 2, "fiscal_name": "start",
                "fiscal_weeks": "4-4-5", "reason": "Retail"}  # fmt: skip
    assert key.send("PUT", "metrics", "/v1/calendar", json=calendar).status_code == 200
    key.events(closed("a", "2023-01-30"), closed("b", "2023-06-01"), closed("c", "2023-11-02"))

    def before(offset: str) -> dict[str, Any]:
        inputs = {"a": {"definition": CLOSED, "offset": offset}}
        return {"kind": "derived", "expression": "a", "inputs": inputs}

    assert shown(key, before("-1 year"), "FY2024") == shown(key, before("-1 period"), "FY2024")
    assert shown(key, before("-4 period"), "FY2024-Q1") == shown(
        key, before("-1 year"), "FY2024-Q1"
    )


def test_a_figure_of_a_period_that_still_runs_elsewhere_is_provisional(key: Key) -> None:
    key.events(closed("a", "2024-04-10"))
    ahead = {"kind": "derived", "expression": "a",
             "inputs": {"a": {"definition": CLOSED, "offset": "20 year"}}}  # fmt: skip
    assert answer(key, ahead, "2024")["values"][0]["provisional"] is True
    body = {"key": "slow", "name": "S", "unit": "count", "definition": CLOSED}
    key.post("metrics", "/v1/metrics", {**body, "settles_after": 3_650})
    part = {"metric": "slow"}
    ratio = {"kind": "ratio", "numerator": part, "denominator": part}
    assert answer(key, ratio, "2024", unit="ratio")["values"][0]["provisional"] is True


def test_a_number_beyond_any_figure_is_a_reason(key: Key) -> None:
    key.events(closed("a", "2024-04-10", amount=10**14, currency="EUR"))
    power = {"kind": "derived", "expression": "*".join(["a"] * 200),
             "inputs": {"a": {"definition": REVENUE}}}  # fmt: skip
    body = {"key": "power", "name": "P", "unit": "count", "definition": {
        **power, "inputs": {"a": {"metric": "plain"}}}}  # fmt: skip
    key.post("metrics", "/v1/metrics",
             {"key": "plain", "name": "P", "unit": "count", "definition": REVENUE})  # fmt: skip
    key.post("metrics", "/v1/metrics", body)
    found = key.get("metrics", "/v1/metrics/power/values", period="2024")["values"][0]
    assert (found["value"], found["reason"]) == (None, "out_of_range")
    assert define(key, {**power, "expression": "a * " + "9" * 400}).status_code == 422


@pytest.mark.parametrize("value", ["1e400", "1e15", "[1e400]"])
def test_a_filter_compares_with_numbers_that_an_event_can_hold(key: Key, value: str) -> None:
    where = f'{{"field": "amount", "op": "{"in" if "[" in value else "gt"}", "value": {value}}}'
    response = key.send("GET", "metrics", "/v1/metrics/x/values",
                        params={"period": "2024", "where": where})  # fmt: skip
    assert response.status_code == 422


@pytest.mark.parametrize("cursor", [1, 10**30, True, -1, 3.5, [1, 2], "x"])
def test_a_timelines_cursor_is_one_that_it_made(key: Key, cursor: Any) -> None:
    define(key, CLOSED)
    made = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")
    path = f"/v1/metrics/x/timeline?period=2024&cursor={made}"
    assert key.send("GET", "metrics", path).status_code == 422


def test_groups_are_fields_and_nothing_of_ours(key: Key) -> None:
    define(key, CLOSED)
    key.events(closed("a", "2024-04-10"))
    for name in ("$row", "a b", "$until"):
        params = {"period": "2024", "group_by": name}
        response = key.send("GET", "metrics", "/v1/metrics/x/values", params=params)
        assert response.status_code == 422
    found = key.get("metrics", "/v1/metrics/x/values", period="2024", group_by="$source")["values"]
    assert found[0]["group"] == {"$source": "/crm"}


def test_first_facts_of_one_moment_with_and_without_a_time(key: Key) -> None:
    reopened = "crm.opportunity.reopened"
    define(key, {"kind": "count", "events": ["crm.opportunity.closed", reopened]})
    key.events(closed("b1", "2024-04-01T00:00:00Z"), closed("b2", "2024-05-01"),
               event("r1", reopened, "2024-04-15T00:00:00Z"),
               event("r2", reopened, "2024-05-01T00:00:00Z"))  # fmt: skip
    for identity in ("b1", "r1"):
        body = {"source": "/crm", "event_id": identity, "reason": "A test deal"}
        key.post("metrics", "/v1/retractions", body)
    found = key.get("metrics", "/v1/metrics/x/values", period=["2024-04", "2024-05"])["values"]
    assert [v["value"] for v in found] == [None, 2]


def test_dates_are_compared_with_dates_by_filters_too(key: Key) -> None:
    activity, call = "crm.activity.logged", "contact.call.completed"
    key.events(
        event("act", activity, "2024-05-01T09:00:00Z", _subject="deal/a"),
        closed("a", "2024-05-01"),
        event("c", call, "2024-05-03T09:00:00Z", _subject="x"),
        event("a2", activity, "2024-05-03", _subject="x"),
    )  # fmt: skip
    without = {**CLOSED, "where": {"not": {"had": {"events": [activity]}}}}
    assert shown(key, without, "2024") == [0]
    captured = {"kind": "count", "events": [call],
                "where": {"then": {"events": [activity]}, "within": "P1D"}}  # fmt: skip
    assert shown(key, captured, "2024") == [1]


def test_an_event_is_no_beginning_of_itself(key: Key) -> None:
    stage = "crm.opportunity.stage_changed"
    key.events(event("s1", stage, "2024-05-01T00:00:00Z", _subject="d"),
               event("s2", stage, "2024-05-11T00:00:00Z", _subject="d"))  # fmt: skip
    step = {"events": [stage]}
    between = {"kind": "duration", "from": step, "to": step}
    for which in ("first", "last", "each"):
        assert shown(key, {**between, "which": which}, "2024", unit="d") == [10]


def test_currencies_are_never_added_up_by_a_baseline(key: Key) -> None:
    define(key, REVENUE, "money")
    key.events(closed("a", "2024-01-05", amount=100, currency="USD"),
               closed("b", "2024-04-05", amount=100, currency="JPY"))  # fmt: skip
    params = {"period": ["2024-Q1", "2024-Q2"]}
    found = key.get("metrics", "/v1/metrics/x/baseline", **params)
    assert (found["value"], found["state"]) == (None, "unmeasurable")
    for pair, rate in (("USD", "0.5"), ("JPY", "0.01")):
        key.events(event(pair, "fx.rate.observed", "2024-01-01", base=pair, quote="EUR", rate=rate))
    assert key.get("metrics", "/v1/metrics/x/baseline", **params)["value"] == 25.5


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("cut-overs", {"old_source": "/a", "new_source": "/b", "on": "0001-01-01"}),
        ("cut-overs", {"old_source": "/a", "new_source": "/b", "on": "9999-12-31"}),
        ("bases", {"name": "a/b"}),
        ("bases", {"name": "1-0011223344556677"}),
        ("bases", {"name": "Later", "known_at": "2999-01-01T00:00:00Z"}),
    ],
)
def test_what_could_never_be_read_again_is_not_stored(
    key: Key, path: str, body: dict[str, Any]
) -> None:
    body = {**body, "reason": "Because"}
    assert key.send("POST", "metrics", f"/v1/{path}", json=body).status_code == 422


def test_a_metric_of_many_types_with_a_cadence(key: Key) -> None:
    types = [t["name"] for t in key.get("metrics", "/v1/event-types", limit=100)["items"]]
    halves = [{"kind": "count", "events": types[:15]}, {"kind": "count", "events": types[15:30]}]
    definition = {"kind": "ratio", "numerator": halves[0], "denominator": halves[1]}
    made = define(key, definition, "ratio", guidelines={"cadence": "monthly"})
    assert made.status_code == 201
    found = key.get("metrics", "/v1/metrics/x/values", period="2024")["values"][0]
    assert (found["reason"], found["coverage"]["delivered"]) == ("zero_denominator", 0)


def test_a_frozen_baseline_without_data_verifies_after_they_came(key: Key) -> None:
    define(key, WON)
    body = {"metric": "x", "periods": ["2024-Q1"], "reason": "The beginning"}
    frozen = key.post("metrics", "/v1/baselines", body)
    assert (frozen["state"], frozen["cause"]) == ("unmeasurable", "no_instrument")
    key.events(closed("a", "2024-01-05"))
    verified = key.post("metrics", f"/v1/baselines/{frozen['id']}/verify")
    assert verified["identical"], verified["differences"]


def test_a_day_without_time_stands_at_its_own_midnight_not_at_londons(key: Key) -> None:
    """In Los Angeles the evening of the 9th comes before the 10th, although UTC says otherwise."""
    zone = {"zone": "America/Los_Angeles", "reason": "Head office"}
    assert key.send("PUT", "metrics", "/v1/calendar", json=zone).status_code == 200
    opened = "crm.opportunity.opened"
    key.events(event("o", opened, "2024-01-09T18:00:00-08:00", _subject="deal/a"),
               closed("a", "2024-01-10"))  # fmt: skip
    is_open = {"kind": "state", "events": [opened, "crm.opportunity.closed"],
               "where": {"field": "$type", "value": opened}}  # fmt: skip
    assert shown(key, is_open, "2024-01") == [0]


def test_metrics_of_metrics_have_a_depth_and_share_what_they_are_made_of(key: Key) -> None:
    """Twenty levels, each made of the one below twice, are evaluated once each."""
    key.events(closed("a", "2024-01-10"))
    key.post("metrics", "/v1/metrics",
             {"key": "level-0", "name": "L", "unit": "count", "definition": CLOSED})  # fmt: skip
    for level in range(1, 22):
        below = {"metric": f"level-{level - 1}"}
        doubled = {"kind": "derived", "expression": "a + b", "inputs": {"a": below, "b": below}}
        body = {"key": f"level-{level}", "name": "L", "unit": "count", "definition": doubled}
        status = key.send("POST", "metrics", "/v1/metrics", json=body).status_code
        assert status == (201 if level < 20 else 422)
    found = key.get("metrics", "/v1/metrics/level-19/values", period="2024-01")["values"][0]
    assert found["value"] == 2**19


def test_an_answer_has_a_size(key: Key) -> None:
    define(key, CLOSED)
    key.events(*[closed(f"a{n}", "2024-01-10", region=f"r{n}") for n in range(300)])
    path = "/v1/metrics/x/values?group_by=region&from=2024-01-01&to=2024-12-01&grain=day"
    assert "fewer periods" in key.refused(422, "GET", "metrics", path)["detail"]
    found = key.send("GET", "metrics", f"{path}&group_limit=10").json()
    assert len(found["values"]) == 335 * 11
