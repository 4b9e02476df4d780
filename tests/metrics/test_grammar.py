"""Every kind and part of the definition grammar, on histories worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asking import answer, shown
from tests.support.house import Key
from tests.support.samples import CLOSED, WIN_RATE, WON, closed, deals, event

LEAD, QUALIFIED = "crm.lead.created", "crm.lead.qualified"
OPENED, REOPENED = "crm.opportunity.opened", "crm.opportunity.reopened"
CALL, ACTIVITY = "contact.call.completed", "crm.activity.logged"
STARTED, CHANGED, DONE = "work.item.started", "work.item.state_changed", "work.item.completed"


def lead(identity: str, day: str, **data: Any) -> dict[str, Any]:
    return event(f"l{identity}", LEAD, day, _subject=f"lead/{identity}", **data)


def qualified(identity: str, day: str) -> dict[str, Any]:
    return event(f"q{identity}", QUALIFIED, day, _subject=f"lead/{identity}")


CONVERSION = {
    "kind": "conversion",
    "from": {"events": [LEAD]},
    "to": {"events": [QUALIFIED]},
    "within": "P30D",
}


def test_a_conversion_follows_its_cohort_within_the_window(key: Key) -> None:
    """Four leads in January: after 30 days exactly, after 31, never, and one converted twice."""
    key.events(
        lead("1", "2024-01-01"), qualified("1", "2024-01-31"),
        lead("2", "2024-01-01"), qualified("2", "2024-02-01"),
        lead("3", "2024-01-20"),
        lead("4", "2024-01-20"), qualified("4", "2024-02-05"),
        event("q4b", QUALIFIED, "2024-02-06", _subject="lead/4"),
        event("l4b", LEAD, "2024-01-25", _subject="lead/4"),
    )  # fmt: skip
    rate = answer(key, CONVERSION, "2024-01", unit="ratio")["values"][0]
    assert (rate["numerator"], rate["denominator"], rate["value"]) == ("2", "4", 0.5)
    assert rate["provisional"] is False
    assert shown(key, {**CONVERSION, "as": "count"}, "2024-01", "2024-02") == [2, 0]
    endless = {k: v for k, v in CONVERSION.items() if k != "within"}
    found = answer(key, endless, "2024-01", unit="ratio")["values"][0]
    assert (found["value"], found["provisional"]) == (0.75, True)


def test_a_conversion_is_provisional_while_a_window_is_open(key: Key) -> None:
    key.events(lead("1", "2024-01-10"), lead("2", "2024-01-01"), qualified("2", "2024-01-05"))
    key.post("metrics", "/v1/metrics", {"key": "c", "name": "C", "unit": "ratio",
                                        "definition": CONVERSION})  # fmt: skip
    key.events(qualified("1", "2024-02-20"))
    late = {**CONVERSION, "within": "P9000D"}
    open_window = answer(key, {**late, "to": {"events": [OPENED]}}, "2024-01", unit="ratio")
    assert open_window["values"][0]["provisional"] is True
    closed_window = key.get("metrics", "/v1/metrics/c/values", period="2024-01")["values"][0]
    assert (closed_window["value"], closed_window["provisional"]) == (0.5, False)


def test_steps_are_joined_by_fields_where_subjects_differ(key: Key) -> None:
    key.events(
        lead("1", "2024-01-01", account="A"), lead("2", "2024-01-02", account="B"),
        event("o1", OPENED, "2024-01-09", _subject="deal/1", account="A"),
    )  # fmt: skip
    joined = {
        **CONVERSION,
        "to": {"events": [OPENED]},
        "join": {"from": "account", "to": "account"},
    }
    assert shown(key, joined, "2024-01", unit="ratio") == [0.5]


def test_a_business_clock_counts_only_working_hours(key: Key) -> None:
    """Friday 16:00 to Monday 10:00 is two working hours, or one with Monday's opening at noon."""
    key.events(
        event("o", OPENED, "2024-03-01T16:00:00Z", _subject="deal/1"),
        closed("1", "2024-03-04T10:00:00Z", _subject="deal/1"),
    )
    cycle = {
        "kind": "duration",
        "from": {"events": [OPENED]},
        "to": {"events": ["crm.opportunity.closed"]},
        "clock": "business",
    }
    assert shown(key, cycle, "2024-03", unit="h") == [2]
    assert shown(key, {**cycle, "clock": "elapsed"}, "2024-03", unit="h") == [66]
    assert shown(key, {**cycle, "clock": "elapsed"}, "2024-03", unit="days") == [2.75]
    assert shown(key, cycle, "2024-03", unit="days") == [0.25]
    calendar = {"holidays": ["2024-03-04"], "business_opens": "08:00", "reason": "Easter"}
    assert key.send("PUT", "metrics", "/v1/calendar", json=calendar).status_code == 200
    assert shown(key, cycle, "2024-03", unit="h") == [1]


def test_each_and_last_choose_among_several_ends(key: Key) -> None:
    key.events(
        event("o", OPENED, "2024-01-01", _subject="deal/1"),
        closed("1", "2024-01-11", _subject="deal/1"),
        event("r", REOPENED, "2024-01-21", _subject="deal/1"),
        closed("1b", "2024-01-25", _subject="deal/1"),
    )
    cycle = {
        "kind": "duration",
        "from": {"events": [OPENED, REOPENED]},
        "to": {"events": ["crm.opportunity.closed"]},
        "clock": "calendar_days",
    }
    for which, expected in (("first", 10), ("last", 4), ("each", 7)):
        assert shown(key, {**cycle, "which": which}, "2024-01", unit="days") == [expected]


def item(identity: str, name: str, moment: str, **data: Any) -> dict[str, Any]:
    return event(f"{identity}{name}{moment}", name, f"2024-01-{moment}Z", _subject=identity, **data)


def flow() -> list[dict[str, Any]]:
    """Two items of 10 and 40 hours, of which 8 and 2 active: 20 % pooled, 42.5 % on average."""
    return [
        item("a", STARTED, "01T00:00:00"),
        item("a", CHANGED, "01T08:00:00", active=False),
        item("a", DONE, "01T10:00:00", type="feature"),
        item("b", STARTED, "02T00:00:00"),
        item("b", CHANGED, "02T01:00:00", active=False),
        item("b", CHANGED, "03T15:00:00", active=True),
        item("b", DONE, "03T16:00:00", type="defect"),
    ]


ACTIVE = {
    "kind": "time_in_state",
    "enter": {"events": [STARTED, CHANGED], "where": {
        "any": [{"field": "$type", "value": STARTED}, {"field": "active", "value": True}]}},
    "leave": {"events": [CHANGED, DONE], "where": {"not": {"field": "active", "value": True}}},
}  # fmt: skip


def test_time_in_state_is_pooled_over_what_was_completed(key: Key) -> None:
    key.events(*flow())
    share = answer(
        key, {**ACTIVE, "statistic": "share_of_total", "done": {"events": [DONE]}}, "2024-01",
        unit="ratio",
    )["values"][0]  # fmt: skip
    assert (share["numerator"], share["denominator"], share["value"]) == ("36000", "180000", 0.2)
    assert shown(key, {**ACTIVE, "statistic": "sum"}, "2024-01", unit="h") == [10]
    assert shown(key, {**ACTIVE, "statistic": "average"}, "2024-01", unit="h") == [5]
    assert shown(key, {**ACTIVE, "statistic": "median"}, "2024-01", "2024-02", unit="h") == [
        5, "no_events",
    ]  # fmt: skip


def test_cumulatives_look_back_from_each_periods_end(key: Key) -> None:
    key.events(*deals("2024-Q1", 1, 0), *deals("2024-Q2", 2, 0), *deals("2024-Q4", 4, 1))
    quarters = ["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4", "2025-Q1"]

    def over(window: dict[str, str]) -> list[Any]:
        return shown(key, {"kind": "cumulative", "of": WON, "window": window}, *quarters)

    assert over({"since": "start"}) == [1, 3, 3, 7, 7]
    assert over({"to_date": "year"}) == [1, 3, 3, 7, 0]
    assert over({"trailing": "P6M"}) == [1, 3, 2, 4, 4]
    key.post("metrics", "/v1/metrics", WIN_RATE)
    rolling = {
        "kind": "cumulative", "of": {"metric": "win-rate"}, "window": {"trailing": "P12M"},
    }  # fmt: skip
    assert shown(key, rolling, "2024-Q4", unit="ratio") == [0.875]


def spend(identity: str, day: str, amount: int, revenue: int, **data: Any) -> dict[str, Any]:
    return event(
        identity, "marketing.spend.recorded", day, amount=amount, revenue=revenue,
        currency=data.pop("currency", "EUR"), **data,
    )  # fmt: skip


SPEND = {"kind": "sum", "events": ["marketing.spend.recorded"], "field": "amount"}
REVENUE = {**SPEND, "field": "revenue"}
ROMI = {
    "kind": "derived",
    "expression": "(revenue - spend) / spend",
    "inputs": {"revenue": {"definition": REVENUE}, "spend": {"definition": SPEND}},
}


def test_derived_metrics_compute_with_others_and_with_their_past(key: Key) -> None:
    key.events(
        spend("1", "2024-01-10", 100, 150), spend("2", "2024-02-10", 200, 100),
        spend("3", "2024-04-10", 50, 50),
    )  # fmt: skip
    months = ["2023-12", "2024-01", "2024-02", "2024-03"]
    assert shown(key, ROMI, *months, unit="ratio") == [
        "before_first_event", 0.5, -0.5, "zero_denominator",
    ]  # fmt: skip
    key.post("metrics", "/v1/metrics",
             {"key": "spend", "name": "Spend", "unit": "EUR", "definition": SPEND})  # fmt: skip
    growth = {
        "kind": "derived",
        "expression": "now / before - 1",
        "inputs": {"now": {"metric": "spend"},
                   "before": {"metric": "spend", "offset": "-1 quarter"}},
    }  # fmt: skip
    assert shown(key, growth, "2024-Q2", unit="ratio") == [-0.833333333333333]
    assert shown(key, growth, "2024-04", unit="ratio") == [-0.5]
    change = {
        **growth, "expression": "abs(min(now, before) - max(now, before))",
    }  # fmt: skip
    assert shown(key, change, "2024-Q2", unit="EUR") == [250]


@pytest.mark.parametrize(
    ("change", "pointer", "word"),
    [
        ({"expression": "revenue / 0 spend"}, "/definition/expression", "belong"),
        ({"expression": "revenue - spent"}, "/definition/expression", "spend"),
        ({"expression": "revenue / 2"}, "/definition/inputs/spend", "does not use"),
        ({"expression": "__import__('os')"}, "/definition/expression", "neither"),
        ({"expression": "exp(revenue) + spend"}, "/definition/expression", "abs"),
        ({"inputs": {"revenue": {"definition": REVENUE}, "spend": {"metric": "nope"}}},
         "/definition/inputs/spend/metric", "no metric"),
        ({"inputs": {"revenue": {"metric": "me"}, "spend": {"definition": SPEND}}},
         "/definition/inputs/revenue/metric", "circle"),
        ({"inputs": {"revenue": {"definition": REVENUE}, "spend": {"definition": CLOSED}},
          "expression": "revenue - spend"}, "/definition/expression", "added"),
        ({"expression": "revenue - spend"}, "/unit", "money"),
        ({"inputs": {"revenue": {"definition": REVENUE},
                     "spend": {"definition": SPEND, "offset": "yesterday"}}},
         "/definition/inputs/spend/offset", "offset"),
    ],
)  # fmt: skip
def test_an_expression_that_cannot_work_is_refused(
    key: Key, change: dict[str, Any], pointer: str, word: str
) -> None:
    body = {"key": "me", "name": "Me", "unit": "ratio", "definition": {**ROMI, **change}}
    problem = key.refused(422, "POST", "metrics", "/v1/metrics", json=body)
    assert problem["errors"][0]["pointer"] == pointer
    assert word in problem["errors"][0]["detail"]


def test_a_circle_of_three_metrics_is_refused_where_it_closes(key: Key) -> None:
    def of(name: str, other: str) -> dict[str, Any]:
        inputs = {"x": {"metric": other}}
        definition = {"kind": "derived", "expression": "x + 1", "inputs": inputs}
        return {"key": name, "name": name, "unit": "count", "definition": definition}

    first = {"key": "a", "name": "a", "unit": "count", "definition": CLOSED}
    for body in (first, of("b", "a"), of("c", "b")):
        key.post("metrics", "/v1/metrics", body)
    problem = key.refused(422, "POST", "metrics", "/v1/metrics", json=of("a", "c"))
    assert "a -> c -> b -> a" in problem["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("definition", "pointer"),
    [
        ({**CONVERSION, "within": "P0D"}, "/definition/within"),
        ({**CONVERSION, "within": "soon"}, "/definition/within"),
        ({**CONVERSION, "from": {"events": ["crm.lead.craeted"]}}, "/definition/from/events/0"),
        ({**CONVERSION, "join": {"from": "acount", "to": "account"}}, "/definition/join/from"),
        ({"kind": "cumulative", "of": CLOSED, "window": {"trailing": "PT5H"}},
         "/definition/window"),
        ({"kind": "cumulative", "of": CLOSED, "window": {}}, "/definition/window"),
        ({**CLOSED, "where": {"field": "outcme", "value": "won"}}, "/definition/where"),
        ({**CLOSED, "where": {"had": {"events": ["nope"]}}}, "/definition/where/had/events/0"),
        ({**CLOSED, "kind": "sum", "field": "amuont"}, "/definition/field"),
        ({"kind": "state", "events": [OPENED], "where": {"then": {"events": [CALL]}}},
         "/definition/where"),
        ({"kind": "ratio", "numerator": {"kind": "derived"}, "denominator": CLOSED},
         "/definition/numerator"),
        ({"kind": "ratio", "numerator": CONVERSION, "denominator": CLOSED},
         "/definition/numerator/kind"),
        ({**ACTIVE, "statistic": "percentile"}, "/definition/statistic"),
        ({**CLOSED, "where": {"field": "outcome", "value": "wonn"}}, "/definition/where"),
        ({**CLOSED, "where": {"field": "outcome", "op": "in", "value": []}}, "/definition/where"),
        ({**CLOSED, "where": {"field": "$type", "value": "crm.closed"}}, "/definition/where"),
        ({**CLOSED, "kind": "distinct", "field": "owner + account"}, "/definition"),
        ({**CLOSED, "kind": "latest", "field": "amount", "carry_forward": True,
          "per_subject": "last_in_period"}, "/definition"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_its_place(
    key: Key, definition: dict[str, Any], pointer: str
) -> None:
    body = {"key": "x", "name": "X", "unit": "count", "definition": definition}
    problem = key.refused(422, "POST", "metrics", "/v1/metrics", json=body)
    assert problem["errors"][0]["pointer"].startswith(pointer), problem["errors"]
    tried = {"metric": {k: v for k, v in body.items() if k != "key"}, "period": ["2024"]}
    key.refused(422, "POST", "metrics", "/v1/metrics/preview", json=tried)


def test_a_field_that_senders_add_themselves_may_be_used_once_it_was_sent(key: Key) -> None:
    own = {**CLOSED, "kind": "sum", "field": "score"}
    body = {"key": "x", "name": "X", "unit": "count", "definition": own}
    problem = key.refused(422, "POST", "metrics", "/v1/metrics", json=body)
    assert "no field 'score'" in problem["detail"]
    key.events(closed("1", "2024-01-01", score=7))
    key.post("metrics", "/v1/metrics", body)
    assert key.get("metrics", "/v1/metrics/x/values", period="2024")["values"][0]["value"] == 7


def test_many_questions_are_answered_from_one_basis(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    key.events(*deals("2024-Q1", 1, 1), *deals("2024-Q2", 3, 1))
    questions = [
        {"metric": "win-rate", "period": ["2024-Q1", "2024-Q2"]},
        {"metric": "wim-rate", "period": ["2024-Q1"]},
        {"metric": "win-rate", "from": "2024-01-01", "to": "2024-03-01", "grain": "month",
         "where": {"field": "outcome", "value": "won"}},
    ]  # fmt: skip
    found = key.post("metrics", "/v1/replay", {"questions": questions})
    first, second, third = found["answers"]
    assert [v["value"] for v in first["replay"]["values"]] == [0.5, 0.75]
    assert (second["replay"], second["problem"]["status"]) == (None, 404)
    assert [v["value"] for v in third["replay"]["values"]] == [None, 1]
    assert {a["replay"]["basis"] for a in (first, third)} == {found["basis"]}
    again = key.send("POST", "metrics", f"/v1/replay?basis={found['basis']}",
                     json={"questions": questions[:1]})  # fmt: skip
    assert again.json()["answers"][0]["replay"]["values"] == first["replay"]["values"]


def test_a_preview_saves_nothing(key: Key) -> None:
    assert shown(key, CLOSED, "2024") == ["before_first_event"]
    assert key.get("metrics", "/v1/metrics")["items"] == []
