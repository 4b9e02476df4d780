"""Assumptions of costs by formula, and scenarios whose lines are named otherwise or withdrawn."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.house import Key
from tests.support.samples import event
from tests.valuation.test_certainty import AMOUNT
from tests.valuation.test_worth import Body, Story, npv

SPREAD = {"kind": "triangular", "low": "8", "mode": "10", "high": "12"}


@pytest.fixture
def story(key: Key) -> Story:
    made = Story(key)
    made.case = made.open(grain="year", periods=3, discount_rate="0")
    return made


def driven(story: Story, **more: Any) -> None:
    """100 users for three years, at a price that is not known yet; nothing at the start."""
    story.cost(amounts=None, formula="users * price", risk="0.1", inputs={
        "users": {"curve": ["0", "100"], "unit": "count"},
        "price": {"distribution": SPREAD, "unit": more.pop("unit", "EUR")}}, **more)  # fmt: skip


def scenario(story: Story, of: str, **moved: str) -> None:
    body = {"name": "Other", "reason": "What if", "overrides": [{"of": of, **moved}]}
    path = f"/v1/cases/{story.case}/scenarios/other"
    answer = story.key.send("PUT", "valuation", path, json=body)
    assert answer.status_code == 200, answer.text


def swing_of(story: Story, ending: str) -> Body:
    swings = story.get("sensitivity")["swings"]
    return dict(next(s for s in swings if s["assumption"].endswith(ending)))


@pytest.mark.parametrize("more", [{}, {"currency": "USD", "unit": "USD"}, {"unit": "USD"}])
def test_drivers_of_a_cost_are_drawn_moved_and_stated_otherwise(
    story: Story, more: dict[str, Any]
) -> None:
    """3 x 100 x 10 with a tenth of risk; 8 to 12 in the tornado and in the simulation."""
    story.key.events(
        event("fx", "fx.rate.observed", "2024-12-01", base="USD", quote="EUR", rate="0.5")
    )
    unit = Decimal("0.5") if more else Decimal(1)
    driven(story, **more)
    assert npv(story.get("valuation")) == -3300 * unit
    swing = swing_of(story, "/inputs/price")
    assert (swing["low"], swing["high"]) == (8, 12)
    assert (Decimal(swing["npv_high"]), Decimal(swing["npv_low"])) == (-3960 * unit, -2640 * unit)
    found = story.post("simulation", {"draws": 20_000, "seed": 7})
    assert found["mean"] == pytest.approx(-3300 * float(unit), rel=0.005)
    assert found["quantiles"][0]["npv"] > -3960 * unit
    assert found["variance_shares"][0]["assumption"].endswith("/inputs/price")
    scenario(story, "costs/Licences/inputs/price", value="20")
    assert npv(story.get("valuation", scenario="other")) == -6600 * unit
    scenario(story, "costs/Licences/inputs/users", factor="2")
    assert npv(story.get("valuation", scenario="other")) == -6600 * unit


def test_a_scenario_outlives_the_names_of_its_lines_and_the_lines(story: Story) -> None:
    story.cost(amounts=["100"])
    story.post("benefits", {**AMOUNT, "name": "b", "inputs": {
        "amount": {"value": "500", "unit": "EUR"}}})  # fmt: skip
    scenario(story, "costs/Licences/amount", factor="2")
    (line,) = story.key.get("valuation", f"/v1/cases/{story.case}")["case"]["costs"]
    renamed = {"name": "Seats", "category": "licence", "amounts": ["100"]}
    path = f"/v1/cases/{story.case}/costs/{line['id']}"
    answer = story.key.send("PUT", "valuation", f"{path}?reason=Clearer", json=renamed)
    assert answer.status_code == 200, answer.text
    assert npv(story.get("valuation", scenario="other")) == 1300
    story.post(f"lines/{line['id']}/withdraw", {"reason": "Given up"})
    assert npv(story.get("valuation", scenario="other")) == 1500
    assert len(story.get("scenarios")["scenarios"]) == 2


def test_allowed_extremes_have_a_tornado_and_a_report(story: Story) -> None:
    story.case = story.open(grain="year", periods=3, discount_rate="-0.5")
    story.cost(risk="10", amounts=["100"])
    assert swing_of(story, "discount_rate")["low"] == -0.5
    assert swing_of(story, "/risk")["high"] == 10
    story.get("report")


def test_a_figure_that_is_divided_by_has_its_turning_point(story: Story) -> None:
    """Three years of 3000 / visits pay for 1000 at nine visits."""
    story.cost(amounts=["1000"])
    story.benefit(name="Visits", template=None, formula="amount / visits", attribution=None,
                  planned={}, inputs={"amount": {"value": "3000", "unit": "EUR"},
                                      "visits": {"value": "13", "unit": "count"}})  # fmt: skip
    assert swing_of(story, "/inputs/visits")["switching"] == pytest.approx(9)


def test_a_rate_beside_one_beyond_all_sense_is_one_of_several(story: Story) -> None:
    """25 % and 400 % a month: neither is the rate of return, also by dates."""
    story.case = story.open(grain="month", periods=2, discount_rate="0.1")
    story.cost(amounts=["1600", "0", "10000"])
    story.post("benefits", {**AMOUNT, "name": "b", "inputs": {
        "amount": {"curve": ["10000", "0"], "unit": "EUR"}}})  # fmt: skip
    plan = story.get("valuation")["plan"]
    assert plan["irr"]["status"] == "multiple"
    assert plan["irr"]["roots"][0] == pytest.approx(1.25**12 - 1)
    assert plan["xirr"]["status"] == "multiple"
