"""Edges of a case: before anything is over, at another horizon, on the first day, at extremes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.valuation.domain.roots import irr
from tests.support.house import Key
from tests.support.samples import deals
from tests.valuation.test_certainty import AMOUNT, freeze
from tests.valuation.test_worth import Body, Story, line_of, npv

MONTHLY: Body = {"grain": "month", "periods": 12, "discount_rate": "0"}


@pytest.fixture
def story(key: Key) -> Story:
    return Story(key)


def test_a_case_that_has_not_begun_has_a_report(story: Story) -> None:
    story.case = story.open(start="2031-01-01")
    story.benefit()
    for what in ("report", "before-after", "sensitivity"):
        story.get(what)
    (kpi, *_) = story.get("before-after")["kpis"]
    assert (kpi["before"]["value"], kpi["after"]["reason"]) == (0.2, "no_period_after")


def test_a_cost_by_formula_is_moved_like_any_other(story: Story) -> None:
    story.case = story.open(**MONTHLY)
    story.cost(amounts=None, formula="users * price", inputs={
        "users": {"curve": ["0", "7"], "unit": "count"}, "price": {"value": "13", "unit": "EUR"},
    })  # fmt: skip
    story.post("benefits", {**AMOUNT, "name": "b", "inputs": {
        "amount": {"value": "331", "unit": "EUR"}}})  # fmt: skip
    swings = {
        one["assumption"].rpartition("/")[2]: one for one in story.get("sensitivity")["swings"]
    }
    assert swings["amount"]["switching"] == pytest.approx(331 / 91)
    story.get("report")
    path = f"/v1/cases/{story.case}/scenarios/dear"
    dear = {"name": "Dear", "reason": "What if", "overrides": [
        {"of": "costs/Licences/amount", "factor": "1.123456"}]}  # fmt: skip
    assert story.key.send("PUT", "valuation", path, json=dear).status_code == 200
    found = story.get("valuation", scenario="dear")["plan"]["cash_flow"][1]["costs"]
    assert found == str((Decimal(91) * Decimal("1.123456")).quantize(Decimal("0.01")))


@pytest.mark.parametrize("unit", ["USD", "USD/year", "USD / year", "USD per year"])
def test_other_currencies_are_told_however_the_unit_is_written(story: Story, unit: str) -> None:
    story.key.events({
        "specversion": "1.0", "type": "fx.rate.observed", "source": "/ecb", "id": "1",
        "occurredon": "2024-12-31", "data": {"base": "USD", "quote": "EUR", "rate": "0.5"},
    })  # fmt: skip
    story.case = story.open(grain="year", periods=2)
    story.post("benefits", {**AMOUNT, "name": "b", "inputs": {
        "amount": {"value": "100", "unit": unit}}})  # fmt: skip
    story.cost(amounts=None, formula="n * p", inputs={
        "n": {"value": "10", "unit": "FTE"}, "p": {"value": "10", "unit": unit}})  # fmt: skip
    row = story.get("valuation")["plan"]["cash_flow"][1]
    assert (row["benefits"], row["costs"]) == ("50.00", "50.00")


@pytest.mark.parametrize("periods", [2, 4, 12])
def test_a_bridge_spans_another_horizon(story: Story, periods: int) -> None:
    story.cost()
    story.benefit()
    story.key.events(*deals("2025-Q1", 30, 70))
    story.post("actuals", {"item": "Licences", "amount": "90", "on": "2026-08-01",
                           "reference": "V"})  # fmt: skip
    first = freeze(story)
    answer = story.key.send("PATCH", "valuation", f"/v1/cases/{story.case}", json={
        "periods": periods, "reason": "Another horizon"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    found = story.get("bridge", **{"from": first["id"]})
    moved = sum((Decimal(step["change"]) for step in found["steps"]), Decimal(0))
    assert Decimal(found["before"]) + moved == Decimal(found["after"])
    assert Decimal(found["after"]) == npv(story.get("valuation"), "outlook")


def test_what_is_booked_on_the_first_day_or_taken_back_counts_once(story: Story) -> None:
    story.case = story.open(**MONTHLY)
    monthly = {"from": "2025-01-01", "to": "2026-01-01", "every": "P1M", "amount": "100"}
    story.cost(amounts=None, recurring=monthly)
    for reference, on, amount in (("1", "2025-01-01", "100"), ("2", "2025-03-02", "100"),
                                  ("3", "2025-03-20", "-100")):  # fmt: skip
        story.post("actuals", {"item": "Licences", "amount": amount, "on": on,
                               "reference": reference})  # fmt: skip
    valued = story.get("valuation")
    amounts = line_of(valued["realised"], "Licences")["amounts"]
    assert amounts[:4] == ["0.00", "100.00", "100.00", "0.00"]
    assert valued["realised"]["lines"][0]["variance"] == "-100.00"


def test_bookings_stay_with_a_line_that_is_named_otherwise(story: Story) -> None:
    case = story.cost()
    story.post("actuals", {"item": "Licences", "amount": "70", "on": "2025-02-01",
                           "reference": "V"})  # fmt: skip
    line = case["costs"][0]["id"]
    body = {"name": "Licence fees", "category": "licence", "amounts": ["1000", *["100"] * 8]}
    path = f"/v1/cases/{story.case}/costs/{line}"
    answer = story.key.send("PUT", "valuation", path, json=body, params={"reason": "Clearer"})
    assert answer.status_code == 200, answer.text
    assert line_of(story.get("valuation")["realised"], "Licence fees")["amounts"][1] == "70.00"


def test_a_factor_of_nothing_is_nothing(story: Story) -> None:
    story.benefit(adoption={"curve": ["0.5", "1"]})
    path = f"/v1/cases/{story.case}/scenarios/none"
    none = {"name": "None", "reason": "Nobody uses it", "overrides": [
        {"of": "benefits/More deals won/adoption", "factor": "0"}]}  # fmt: skip
    assert story.key.send("PUT", "valuation", path, json=none).status_code == 200
    assert story.get("valuation", scenario="none")["plan"]["pv_benefits"]["amount"] == "0.00"


def test_what_is_no_money_takes_no_movement_from_what_is(story: Story) -> None:
    story.benefit(name="Pride", category="non_financial")
    story.benefit()
    plan = story.get("valuation")["plan"]
    left = {line["name"]: line["left_out"] for line in plan["lines"]}
    assert left == {"Pride": "non_financial", "More deals won": None}


@pytest.mark.parametrize(
    "once",
    [
        {"quantity": "12.345", "unit_price": "0.12345"},
        {"quantity": "100000000", "unit_price": "100000000"},
        {"quantity": "2"},
        {"amount": "1", "quantity": "1", "unit_price": "1"},
    ],
)
def test_a_price_that_can_not_be_kept_is_refused(story: Story, once: Body) -> None:
    body: dict[str, Any] = {"name": "c", "category": "other", "once": {"on": "2025-01-01", **once}}
    story.refused(422, "costs", body)


@pytest.mark.parametrize(
    ("roots", "status"), [([0.1, 0.101], "multiple"), ([0.1, 0.101, 2.0], "multiple")]
)
def test_roots_that_lie_close_together_are_all_found(roots: list[float], status: str) -> None:
    flows = [Decimal(-1)]
    for root in roots:
        times = [f * Decimal(str(1 + root)) for f in flows]
        longer = [*flows, Decimal(0)]
        flows = [a - b for a, b in zip(longer, [Decimal(0), *times], strict=True)]
    found = irr(flows, 12)
    assert found.status == status
    assert list(found.roots) == pytest.approx(roots, abs=1e-6)
