"""Like with like: periods of other lengths, other currencies, bookings, and who claims what."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.house import Key
from tests.support.samples import closed, deals, event
from tests.valuation.test_certainty import AMOUNT
from tests.valuation.test_worth import QUARTERS, Body, Story, codes, line_of, npv


@pytest.fixture
def story(key: Key) -> Story:
    return Story(key)


def rate(story: Story, day: str, value: str) -> None:
    story.key.events(
        event(f"fx{day}", "fx.rate.observed", day, base="USD", quote="EUR", rate=value)
    )


def test_a_sum_is_held_against_as_long_a_part_of_its_baseline(story: Story) -> None:
    """Quarters of 20,000 are a year of 80,000 and months of a third of it."""
    story.key.post("metrics", "/v1/metrics", {
        "key": "won-money", "name": "Won", "unit": "EUR", "definition": {
            "kind": "sum", "events": ["crm.opportunity.closed"], "field": "amount",
            "where": {"field": "outcome", "value": "won"}}})  # fmt: skip
    frozen = {"metric": "won-money", "periods": ["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4"],
              "reason": "Before"}  # fmt: skip
    baseline = story.key.post("metrics", "/v1/baselines", frozen)
    assert baseline["value"] == 20_000
    change = {"metric_change": {"metric": "won-money", "baseline_id": baseline["id"]}}
    for grain, start, periods, expected in (
        ("year", "2024-01-01", 1, ["0.00"]),
        ("quarter", "2024-01-01", 4, ["0.00"] * 4),
        ("month", "2024-02-01", 2, ["5333.33", "-2666.67"]),
    ):
        story.case = story.open(grain=grain, start=start, periods=periods)
        story.benefit(name="More", template="revenue", inputs={
            "change": change, "margin": {"value": "0.4", "unit": "ratio"}},
            planned={"change": {"value": "1", "unit": "EUR"}}, attribution=None)  # fmt: skip
        valued = story.get("valuation")["realised"]
        assert line_of(valued, "More")["amounts"][1:] == expected, grain
        story.post(f"lines/{valued['lines'][0]['id']}/withdraw", {"reason": "Tried"})


def test_a_change_of_money_is_told_in_one_currency_on_both_sides(story: Story) -> None:
    """A mean deal of 1000 EUR before and of 1000 USD after is one of 900 EUR, at 0.9."""
    rate(story, "2024-12-01", "0.9")
    frozen = story.key.post("metrics", "/v1/baselines", {
        "metric": "size", "periods": ["2024-Q4"], "reason": "Before"})  # fmt: skip
    story.key.events(closed("usd", "2025-02-10", amount=1000, currency="USD"))
    story.benefit(name="Larger", template="order-value", inputs={
        "change": {"metric_change": {"metric": "size", "baseline_id": frozen["id"]}},
        "orders": {"value": "10"}, "margin": {"value": "1", "unit": "ratio"}},
        planned={"change": {"value": "1", "unit": "EUR"}}, attribution=None)  # fmt: skip
    valued = story.get("valuation")["realised"]
    assert line_of(valued, "Larger")["amounts"][1] == "-1000.00"


def test_a_cost_by_formula_is_converted_once(story: Story) -> None:
    rate(story, "2024-12-01", "0.5")
    story.cost(amounts=None, currency="USD", formula="n * p", inputs={
        "n": {"curve": ["1", "0"], "unit": "count"}, "p": {"value": "100", "unit": "USD"},
    })  # fmt: skip
    assert story.get("valuation")["plan"]["pv_costs"]["amount"] == "50.00"
    mixed = {"name": "Mixed", "category": "other", "currency": "USD", "formula": "p",
             "inputs": {"p": {"value": "1", "unit": "EUR"}}}  # fmt: skip
    assert story.refused(422, "costs", mixed)["errors"][0]["pointer"] == "/currency"


def test_what_an_erp_books_counts_from_the_first_day(story: Story) -> None:
    story.cost()
    booked = {"initiative": story.initiative, "item": "Licences", "amount": 400, "currency": "EUR"}
    story.key.events(*(event(f"erp{n}", "cost.booked", "2025-02-10", **booked) for n in range(2)))
    amounts = line_of(story.get("valuation")["outlook"], "Licences")["amounts"]
    assert amounts[:3] == ["1000.00", "800.00", "100.00"]


def test_a_cost_in_another_currency_is_paid_at_the_rate_of_its_day(story: Story) -> None:
    rate(story, "2024-12-01", "0.6")
    rate(story, "2025-03-20", "0.9")
    story.case = story.open(grain="year", periods=1, discount_rate="0")
    story.cost(amounts=None, currency="USD", once={"on": "2025-02-01", "amount": "100"})
    assert story.get("valuation")["plan"]["pv_costs"]["amount"] == "60.00"
    story.cost(name="Seats", amounts=None, currency="USD", recurring={
        "from": "2025-03-01", "to": "2025-05-01", "every": "P1M", "amount": "100"})  # fmt: skip
    assert story.get("valuation")["plan"]["pv_costs"]["amount"] == "210.00"


@pytest.mark.parametrize("on", ["1990-01-01", "2027-01-01"])
def test_a_booking_that_no_period_would_count_is_refused(story: Story, on: str) -> None:
    story.cost()
    body = {"item": "Licences", "amount": "500", "on": on, "reference": "1"}
    assert story.refused(422, "actuals", body)["errors"][0]["pointer"] == "/on"


def _part(story: Story, name: str, where: Any) -> Body:
    frozen = story.key.post("metrics", "/v1/baselines", {
        "metric": "win-rate", "periods": ["2024-Q4"], "reason": name, "where": where,
    })  # fmt: skip
    change = {"metric_change": {"metric": "win-rate", "baseline_id": frozen["id"]}}
    uplift = story.uplift(name=name)
    return {**uplift, "inputs": {**uplift["inputs"], "change": change}}


def test_parts_of_a_movement_and_the_whole_of_it_are_one(story: Story) -> None:
    """The north is in the whole and in `in [north]`, but not in the south."""
    story.key.events(
        closed("n", "2024-11-10", region="north"), closed("s", "2024-11-10", region="south")
    )
    story.post("benefits", _part(story, "North", {"field": "region", "value": "north"}))
    story.post("benefits", _part(story, "South", {"field": "region", "value": "south"}))
    assert "overlap" not in codes(story.get("findings"))
    again = {"field": "region", "op": "in", "value": ["north", "east"]}
    story.post("benefits", _part(story, "North again", again))
    found = [f for f in story.get("findings")["findings"] if f["code"] == "overlap"]
    assert [f["params"]["benefit"] for f in found] == ["North again"]
    story.benefit(name="All")
    found = [f for f in story.get("findings")["findings"] if f["code"] == "overlap"]
    assert [f["params"]["benefit"] for f in found] == ["North again", "All"]


def test_the_same_deals_are_rescued_once(story: Story) -> None:
    body = {
        "template": "rescued-deals", "inputs": {
            "deals": {"metric": {"key": "deals"}}, "value": {"value": "1000", "unit": "EUR"},
            "margin": {"value": "0.4", "unit": "ratio"}},
        "planned": {"deals": {"value": "5"}},
    }  # fmt: skip
    story.benefit(name="First", **body)
    story.benefit(name="Second", **body)
    assert "overlap" in codes(story.get("findings"))
    assert line_of(story.get("valuation")["plan"], "Second")["left_out"] == "overlap"


def test_a_longer_horizon_claims_no_more_than_there_is(story: Story) -> None:
    story.benefit(attribution={"share": "1", "reason": "All"})
    other = story.key.post("goals", "/v1/initiatives", {
        "name": "Other", "currency": "EUR", "go_live": "2024-04-01", "business_owner": "Ann",
    })["id"]  # fmt: skip
    early = story.open(initiative_id=other, start="2024-01-01", periods=4)
    story.post("benefits", story.uplift(attribution={"share": "1", "reason": "All"}), early)
    path = f"/v1/cases/{early}"
    longer = {"periods": 8, "reason": "Longer"}
    story.key.refused(409, "PATCH", "valuation", path, json=longer)


def test_only_what_the_goals_owner_acknowledged_is_taken_from_it(story: Story) -> None:
    """Before it is acknowledged nothing can be taken; afterwards every figure goes by it."""
    shared = story.uplift(goal_id=story.goal, attribution={"source": "goal", "reason": "As agreed"})
    problem = story.refused(422, "benefits", shared)
    assert problem["errors"][0]["code"] == "not_acknowledged"
    acknowledge = f"/v1/goals/{story.goal}/acknowledge-causes"
    story.key.post("goals", acknowledge, {"acting_reason": "Ann is away"})
    story.cost(amounts=["100"])
    story.post("benefits", shared)
    more = {
        "title": "Win more", "metric": "win-rate", "baseline": {"periods": QUARTERS},
        "target": {"value": 0.3}, "target_period": "2027-Q4",
        "other_causes": [{"cause": "New prices", "share": 0.7}],
    }  # fmt: skip
    stated = story.key.send("PUT", "goals", f"/v1/goals/{story.goal}", json=more)
    assert stated.status_code == 200, stated.text
    story.key.post("goals", acknowledge, {"acting_reason": "Ann is away"})
    swings = {s["assumption"].rpartition("/")[2]: s for s in story.get("sensitivity")["swings"]}
    swing = swings["attribution"]
    assert swing["figure"] == pytest.approx(0.3)
    worth = npv(story.get("valuation"))
    assert Decimal(str(swing["npv_low"])) < worth < Decimal(str(swing["npv_high"]))


def test_a_goal_of_another_initiative_is_none_of_this_case(story: Story) -> None:
    other = story.key.post("goals", "/v1/initiatives", {
        "name": "Other", "currency": "EUR", "go_live": "2025-04-01", "business_owner": "Ann",
    })["id"]  # fmt: skip
    case = story.open(initiative_id=other)
    problem = story.refused(422, "benefits", story.uplift(goal_id=story.goal), case)
    assert problem["errors"][0]["code"] == "other_initiative"


def test_what_earns_in_its_first_period_is_paid_back_within_it(story: Story) -> None:
    """Costs of 8.365 and benefits of 11.646 millions in the first year: 0.718 years."""
    story.case = story.open(grain="year", periods=1)
    story.cost(amounts=["0", "8365000"])
    story.post("benefits", {**AMOUNT, "name": "b", "inputs": {
        "amount": {"value": "11646000", "unit": "EUR"}}})  # fmt: skip
    payback = story.get("valuation")["plan"]["payback_months"]
    assert payback["value"] == pytest.approx(12 * 8365 / 11646, abs=0.005)


def test_days_before_the_start_are_compounded(story: Story) -> None:
    """XNPV at the case's start: 1000 paid a year earlier weigh 1100 there, at 10 %."""
    story.case = story.open(grain="year", periods=1, convention="exact_dates")
    story.cost(amounts=None, once={"on": "2024-01-02", "amount": "1000"})
    assert story.get("valuation")["plan"]["pv_costs"]["amount"] == "1100.00"


def test_a_years_cost_of_capital_is_shared_among_its_periods(story: Story) -> None:
    inputs = {"change": {"value": "10", "unit": "days"},
              "daily_revenue": {"value": "1000", "unit": "EUR/day"},
              "cost_of_capital": {"value": "0.08", "unit": "ratio"}}  # fmt: skip
    for grain, periods in (("year", 1), ("month", 12)):
        story.case = story.open(grain=grain, periods=periods, discount_rate="0")
        story.benefit(name="Sooner", template="cash-flow", inputs=inputs, planned={},
                      attribution=None)  # fmt: skip
        assert story.get("valuation")["plan"]["pv_benefits"]["amount"] == "800.00"


def test_a_curve_is_for_what_changes_over_time(story: Story) -> None:
    body = {"name": "Odd", "reason": "Tried", "overrides": [
        {"of": "discount_rate", "curve": ["0.5", "0.6"]}]}  # fmt: skip
    path = f"/v1/cases/{story.case}/scenarios/odd"
    problem = story.key.refused(422, "PUT", "valuation", path, json=body)
    assert problem["errors"][0]["pointer"] == "/overrides/0/curve"


def test_a_shortened_horizon_says_which_costs_it_cuts(story: Story) -> None:
    story.cost()
    answer = story.key.send("PATCH", "valuation", f"/v1/cases/{story.case}", json={
        "periods": 2, "reason": "Shorter"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert "cost_outside" in codes(story.get("findings"))


def test_before_and_after_counts_no_more_money_than_the_totals(story: Story) -> None:
    story.benefit(name="Counted")
    story.benefit(name="Left out", attribution={"share": "0.3", "reason": "Some"})
    story.key.events(*deals("2025-Q2", 30, 70))
    (kpi, *_) = story.get("before-after")["kpis"]
    assert (kpi["money"], kpi["share"]) == ("2000.00", 0.5)
