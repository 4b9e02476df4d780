"""Goals as people state them, each judged by what became of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.house import Key
from tests.support.samples import event


def figures(key: Key, metric: str, told: dict[str, float]) -> None:
    """A metric of the catalogue that is fed with figures, and its figures by day."""
    definition = {"kind": "latest", "events": ["metric.observed"], "field": "value",
                  "where": {"field": "figure", "op": "eq", "value": metric}}  # fmt: skip
    key.post("metrics", "/v1/metrics", {
        "key": metric, "name": metric, "unit": "ratio" if max(told.values()) <= 1 else "count",
        "definition": definition, "direction": "up",
    })  # fmt: skip
    key.events(*(
        event(f"{metric}/{day}", "metric.observed", day, figure=metric, value=value)
        for day, value in told.items()
    ))  # fmt: skip


def stated(key: Key, **goal: Any) -> str:
    """A committed goal of an initiative that is set up after the fact."""
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM", "retrospective": True})["id"]
    made: str = key.post("goals", "/v1/goals", {
        "initiative_id": initiative, "title": "As stated", "business_owner": "Ann", **goal,
    })["id"]  # fmt: skip
    key.post("goals", f"/v1/goals/{made}/commit", {})
    return made


def verdict(key: Key, goal: str) -> tuple[float, str]:
    closed = key.post("goals", f"/v1/goals/{goal}/close", {})["verdict"]
    return closed["value"], closed["present"]


@pytest.mark.parametrize(
    ("second", "said"), [(22_000, "achieved"), (21_500, "improved"), (20_000, "unchanged"),
                         (19_000, "worsened")],
)  # fmt: skip
def test_customers_rise_from_one_quarter_to_the_next(key: Key, second: int, said: str) -> None:
    figures(key, "customers", {"2025-02-10": 20_000, "2025-05-10": second})
    goal = stated(key, metric="customers", baseline={"periods": ["2025-Q1"]},
                  target={"value": 22_000}, target_period="2025-Q2")  # fmt: skip
    assert verdict(key, goal) == (second, said)


def orders(day: str, shares: dict[str, int]) -> list[dict[str, Any]]:
    return [
        event(f"{day}/{segment}/{n}", "commerce.order.placed", day, segment=segment, amount=10,
              currency="EUR")
        for segment, count in shares.items()
        for n in range(count)
    ]  # fmt: skip


def test_the_share_of_b2b_rises_from_june_to_june(key: Key) -> None:
    key.post("metrics", "/v1/catalogue/b2b-revenue-share/install", {})
    key.events(*orders("2020-06-15", {"b2b": 30, "b2c": 70}))
    key.events(*orders("2021-06-15", {"b2b": 50, "b2c": 50}))
    goal = stated(key, metric="b2b-revenue-share", baseline={"periods": ["2020-06"]},
                  target={"value": 0.5}, target_period="2021-06")  # fmt: skip
    assert key.get("goals", f"/v1/goals/{goal}")["goal"]["measured_over"] == "month"
    assert verdict(key, goal) == (0.5, "achieved")


def test_own_label_doubles_in_three_years_with_milestones(key: Key) -> None:
    figures(key, "own-label", {"2021-12-31": 0.25, "2022-12-31": 0.33, "2023-12-31": 0.40,
                               "2024-12-31": 0.48})  # fmt: skip
    goal = stated(
        key, metric="own-label", baseline={"periods": ["2021"]}, target={"value": 0.5},
        target_period="2024", milestones=[{"period": "2022", "value": 0.33},
                                          {"period": "2023", "value": 0.42}],
    )  # fmt: skip
    shown = key.get("goals", f"/v1/goals/{goal}")["goal"]
    assert (shown["horizon"], shown["due"]) == ("long", "2024-12-31")
    progress = key.get("goals", f"/v1/goals/{goal}/progress")
    assert (progress["fraction"], progress["expected_fraction"]) == (0.92, 1)
    assert progress["status"] == "at_risk"
    assert verdict(key, goal) == (0.48, "improved")


def test_the_order_value_of_two_hundred_shops_rises_by_a_tenth(key: Key) -> None:
    key.post("metrics", "/v1/catalogue/aov/install", {"unit": "EUR"})
    for day, more in (("2025-02-10", 0), ("2025-05-10", 1)):
        key.events(*(
            event(f"{day}/{n}", "commerce.order.placed", day, site=f"shop-{n:03}",
                  amount=100 + 10 * more * (n % 10 != 0), currency="EUR")
            for n in range(200)
        ))  # fmt: skip
    goal = stated(key, metric="aov", baseline={"periods": ["2025-Q1"]},
                  target={"change_percent": 10}, target_period="2025-Q2")  # fmt: skip
    family = key.get("goals", f"/v1/goals/{goal}/progress", group_by="site")["family"]
    assert len(family["members"]) == 200
    assert family["statuses"] == {"reached": 180, "off_track": 20}
    assert verdict(key, goal) == (109, "improved")


def test_that_all_work_in_the_system_is_no_value(key: Key) -> None:
    key.post("metrics", "/v1/catalogue/activity-coverage/install", {})
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})["id"]
    goal = {
        "initiative_id": initiative, "title": "All managers work in the CRM",
        "metric": "activity-coverage", "baseline": {"periods": ["2025-Q1"]},
        "target": {"value": 1}, "target_period": "2030-Q4", "business_owner": "Ann",
    }  # fmt: skip
    problem = key.refused(422, "POST", "goals", "/v1/goals", json={**goal, "nature": "value"})
    assert problem["errors"][0]["pointer"] == "/nature"
    assert "win rate" in problem["detail"], "what to state instead is said"
    draft = key.post("goals", "/v1/goals", goal)
    letter = key.get("goals", f"/v1/goals/{draft['id']}/smart")["letters"]["R"]
    assert (draft["nature"], letter["result"]) == ("usage", "warn")


def test_a_figure_that_should_fall_and_one_that_should_stay_in_a_band(key: Key) -> None:
    figures(key, "debt", {"2025-02-10": -4.5, "2025-05-10": -6.25})
    falls = stated(key, metric="debt", baseline={"periods": ["2025-Q1"]},
                   target={"change": -2}, target_period="2025-Q2")  # fmt: skip
    assert verdict(key, falls) == (-6.25, "worsened"), "the metric says that up is good"
    figures(key, "load", {"2025-02-10": 0.9, "2025-05-10": 0.65})
    band = stated(key, metric="load", baseline={"periods": ["2025-Q1"]},
                  target={"band": [0.6, 0.7]}, target_period="2025-Q2")  # fmt: skip
    assert verdict(key, band) == (0.65, "achieved")
