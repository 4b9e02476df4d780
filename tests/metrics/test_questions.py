"""Questions: what may be asked side by side, what is refused, and what rests on other periods."""

from __future__ import annotations

import json

from tests.metrics.test_replay import define, values
from tests.support.house import Key
from tests.support.samples import CLOSED, GUIDELINES, WIN_RATE, closed, deals, event


def test_periods_that_overlap_are_answered_side_by_side(key: Key) -> None:
    """A quarter beside its year, and a month named twice, told once."""
    key.post("metrics", "/v1/metrics", {**WIN_RATE, "guidelines": GUIDELINES})
    key.events(*deals("2024-Q1", 1, 2), *deals("2024-Q2", 5, 5))
    found = values(key, "win-rate", period=["2024", "2024-Q1", "2024-Q2", "2024-Q1"])
    assert [(v["period"], v["numerator"], v["denominator"]) for v in found] == [
        ("2024-Q1", "1", "3"), ("2024", "6", "13"), ("2024-Q2", "5", "10"),
    ]  # fmt: skip
    assert [v["coverage"]["delivered"] for v in found] == [1, 2, 1]


def test_filters_that_nothing_can_pass_are_refused_with_the_nearest_word(key: Key) -> None:
    key.events(closed("a", "2024-01-10", amount=100, currency="EUR"))
    key.post("metrics", "/v1/metrics", {**WIN_RATE, "dimensions": []})
    path = "/v1/metrics/win-rate/values"
    for where, code in (
        ({"had": {"events": ["nope"]}}, "unknown_event_type"),
        ({"had": {"events": ["crm.opportunity.opened"],
                  "where": {"field": "regoin", "value": "x"}}}, "unknown_field"),
        ({"field": "outcome", "value": "wonn"}, "unknown_value"),
        ({"field": "$foo", "value": "x"}, "unknown_field"),
        ({"field": "amount", "op": "gt", "value": "abc"}, "not_a_number"),
        ({"field": "amount", "value": "100"}, "not_a_number"),
        ({"field": "rescued", "value": "true"}, "not_a_boolean"),
    ):  # fmt: skip
        asked = {"period": "2024-01", "where": json.dumps(where)}
        problem = key.refused(422, "GET", "metrics", path, params=asked)
        assert problem["errors"][0]["code"] == code, where


def test_own_fields_of_money_are_converted_in_ratios_too(key: Key) -> None:
    fields = [{"name": "price", "kind": "number"}, {"name": "currency", "kind": "currency"}]
    key.post("metrics", "/v1/event-types", {"name": "acme.sold", "fields": fields})
    key.events(
        event("r", "fx.rate.observed", "2024-01-01", base="USD", quote="EUR", rate="0.5"),
        event("1", "acme.sold", "2024-01-10", price=100, currency="USD"),
        event("2", "acme.sold", "2024-01-10", price=100, currency="EUR"),
    )
    sold = {"events": ["acme.sold"]}
    mean = {"kind": "ratio", "numerator": {"kind": "sum", "field": "price", **sold},
            "denominator": {"kind": "count", **sold}}  # fmt: skip
    define(key, "mean-price", mean, "EUR")
    assert values(key, "mean-price", period="2024-01")[0]["value"] == 75


def test_offsets_by_months_keep_the_day_of_the_month(key: Key) -> None:
    key.events(*(closed(day, day) for day in ("2024-02-15", "2024-02-20", "2024-03-14")))
    before = {"kind": "derived", "expression": "a", "inputs": {
        "a": {"definition": CLOSED, "offset": "-1 month"}}}  # fmt: skip
    define(key, "month-before", before)
    found = values(key, "month-before", period=["2024-03-15..2024-04-15", "2024-03-20"])
    assert [v["value"] for v in found] == [3, 1]


def test_nothing_lost_is_zero_once_the_sources_send(key: Key) -> None:
    """Customers came and nobody ever left: churn is 0, since the metric's sources have begun."""
    key.events(event("a", "crm.customer.acquired", "2023-12-01", _subject="c/1"))
    lost = {"kind": "count", "events": ["crm.customer.churned"]}
    stood = {"kind": "state", "events": ["crm.customer.acquired", "crm.customer.churned"],
             "where": {"field": "$type", "value": "crm.customer.acquired"}}  # fmt: skip
    share = {"kind": "derived", "expression": "lost / stood", "inputs": {
        "lost": {"definition": lost}, "stood": {"definition": stood}}}  # fmt: skip
    define(key, "share-lost", share, "ratio")
    assert values(key, "share-lost", period="2024-01")[0]["value"] == 0


def test_a_metric_is_not_redefined_under_those_that_are_made_of_it(key: Key) -> None:
    amounts = {**CLOSED, "kind": "sum", "field": "amount"}
    define(key, "one", amounts, "EUR")
    define(key, "two", amounts, "EUR")
    both = {"one": {"metric": "one"}, "two": {"metric": "two"}}
    define(key, "both", {"kind": "derived", "expression": "one + two", "inputs": both}, "EUR")
    define(key, "part", CLOSED)
    define(key, "share", {"kind": "ratio", "numerator": {"metric": "part"}, "denominator": CLOSED})
    days = {"kind": "duration", "from": {"events": ["crm.opportunity.opened"]},
            "to": {"events": CLOSED["events"]}, "statistic": "average"}  # fmt: skip
    rate = {"kind": "conversion", "from": {"events": ["crm.opportunity.opened"]},
            "to": {"events": CLOSED["events"]}, "as": "rate"}  # fmt: skip
    for name, definition, unit, broken in (
        ("one", days, "days", "both"), ("part", rate, "ratio", "share"),
    ):  # fmt: skip
        body = {"key": name, "name": name, "unit": unit, "definition": definition}
        problem = key.refused(422, "POST", "metrics", "/v1/metrics", json=body)
        assert (problem["errors"][0]["code"], broken in problem["detail"]) == (
            "breaks_others",
            True,
        )


def test_a_group_called_other_is_not_the_rest_of_the_groups(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    regions = ["other"] * 3 + ["a"] * 2 + ["b", "c"]
    key.events(*(closed(str(n), "2024-01-10", region=r) for n, r in enumerate(regions)))
    found = values(key, "win-rate", period="2024-01", group_by="region", group_limit=2)
    assert [(v["group"]["region"], v["rest"], v["n"]) for v in found] == [
        ("a", False, 2), ("other", False, 3), ("other", True, 2),
    ]  # fmt: skip


def test_faults_point_into_the_body_that_was_sent(key: Key) -> None:
    ratio = {"kind": "ratio", "numerator": CLOSED, "denominator": {**CLOSED, "events": ["nope"]}}
    body = {
        "metric": {"name": "Tried", "unit": "ratio", "definition": ratio},
        "period": ["2024-01"],
    }
    problem = key.refused(422, "POST", "metrics", "/v1/metrics/preview", json=body)
    assert problem["errors"][0]["pointer"] == "/metric/definition/denominator/events/0"
    body["metric"] = {"name": "Tried", "unit": "count", "definition": CLOSED}
    problem = key.refused(422, "POST", "metrics", "/v1/metrics/preview",
                          json={**body, "period": ["2024-13"]})  # fmt: skip
    assert problem["errors"][0]["pointer"] == "/period"
    key.post("metrics", "/v1/metrics", WIN_RATE)
    asked = {"questions": [{"metric": "win-rate", "period": ["2024-01"]},
                           {"metric": "win-rate", "period": ["2024-13"]}]}  # fmt: skip
    answers = key.post("metrics", "/v1/replay", asked)["answers"]
    assert answers[1]["problem"]["errors"][0]["pointer"] == "/questions/1/period"
    nested = {**ratio, "numerator": ratio}
    body["metric"] = {"name": "Tried", "unit": "ratio", "definition": nested}
    problem = key.refused(422, "POST", "metrics", "/v1/metrics/preview", json=body)
    assert "_part_kind" not in problem["detail"]
