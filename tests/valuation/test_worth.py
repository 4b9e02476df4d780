"""What a case is worth, over HTTP: its three formulas, its knobs, its parts and its guards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.house import Key
from tests.support.samples import CLOSED, WIN_RATE, WON, deals

Body = dict[str, Any]
QUARTERS = ["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4"]


class Story:
    """An initiative with a year of history, a baseline, a goal and a case of two years."""

    def __init__(self, key: Key) -> None:
        self.key = key
        key.post("metrics", "/v1/metrics", WIN_RATE)
        size = {**WON, "kind": "average", "field": "amount"}
        for name, unit, definition in (("deals", "count", CLOSED), ("size", "money", size)):
            body = {"key": name, "name": name, "unit": unit, "definition": definition}
            key.post("metrics", "/v1/metrics", body)
        for quarter in QUARTERS:
            key.events(*deals(quarter, 20, 80))
        frozen = {"metric": "win-rate", "periods": QUARTERS, "reason": "Before the CRM"}
        self.baseline = key.post("metrics", "/v1/baselines", frozen)["id"]
        initiative = key.post("goals", "/v1/initiatives", {
            "name": "CRM", "currency": "EUR", "go_live": "2025-04-01", "business_owner": "Ann",
            "phases": [{"name": "North", "go_live": "2025-04-01"}, {"name": "South"}],
        })  # fmt: skip
        self.initiative = initiative["id"]
        goal = key.post("goals", "/v1/goals", {
            "initiative_id": self.initiative, "title": "Win more", "metric": "win-rate",
            "baseline": {"periods": QUARTERS}, "target": {"value": 0.3}, "business_owner": "Ann",
            "target_period": "2027-Q4",
            "other_causes": [{"cause": "New prices", "share": 0.4}],
        })  # fmt: skip
        self.goal = goal["id"]
        self.case = self.open()

    def open(self, **frame: Any) -> str:
        case = self.key.post("valuation", "/v1/cases", {
            "initiative_id": self.initiative, "name": "Base", "currency": "EUR",
            "start": "2025-01-01", "grain": "quarter", "periods": 8, "discount_rate": "0.10",
            "users": 50, **frame,
        })  # fmt: skip
        return str(case["id"])

    def cost(self, **body: Any) -> Body:
        stated = {"name": "Licences", "category": "licence", "amounts": ["1000", *["100"] * 8]}
        return self.post("costs", {**stated, **body})

    def benefit(self, **body: Any) -> Body:
        return self.post("benefits", {**self.uplift(), **body})

    def uplift(self, **body: Any) -> Body:
        change = {"metric": "win-rate", "baseline_id": self.baseline}
        return {
            "name": "More deals won", "category": "revenue", "template": "rate-uplift",
            "inputs": {
                "change": {"metric_change": change}, "volume": {"metric": {"key": "deals"}},
                "value": {"metric": {"key": "size"}}, "margin": {"value": "0.4", "unit": "ratio"},
            },
            "planned": {
                "change": {"curve": ["0.02", "0.05"]}, "volume": {"value": "100"},
                "value": {"value": "1000", "unit": "EUR"},
            },
            "attribution": {"share": "0.5", "reason": "The other half is the new prices"},
            "evidence": "verified", **body,
        }  # fmt: skip

    def post(self, what: str, body: Body, case: str | None = None) -> Body:
        path = f"/v1/cases/{case or self.case}/{what}"
        return dict(self.key.post("valuation", path, body))

    def get(self, what: str, **params: Any) -> Body:
        return dict(self.key.get("valuation", f"/v1/cases/{self.case}/{what}", **params))

    def refused(self, status: int, what: str, body: Body, case: str | None = None) -> Body:
        path = f"/v1/cases/{case or self.case}/{what}"
        return dict(self.key.refused(status, "POST", "valuation", path, json=body))


@pytest.fixture
def story(key: Key) -> Story:
    return Story(key)


def line_of(figures: Body, name: str) -> Body:
    return next(dict(line) for line in figures["lines"] if line["name"] == name)


def codes(answer: Body) -> set[str]:
    return {finding["code"] for finding in answer["findings"]}


def npv(answer: Body, of: str = "plan") -> Decimal:
    return Decimal(answer[of]["npv"]["amount"])


def test_what_is_measured_is_not_ramped_again(story: Story) -> None:
    story.cost()
    story.benefit(adoption={"curve": ["0.5", "1"]}, risk="0.25", capture="0.8")
    story.key.events(*deals("2025-Q1", 30, 70))
    valued = story.get("valuation")
    planned = line_of(valued["plan"], "More deals won")["amounts"]
    # 0.02 x 100 x 1000 x 0.4 x 0.5 adoption x 0.8 capture x 0.5 attribution x 0.75
    assert planned[:3] == ["0.00", "120.00", "600.00"]
    realised = line_of(valued["realised"], "More deals won")["amounts"]
    # (0.30 - 0.20) x 100 x 1000 x 0.4 x 0.8 x 0.5: neither adoption nor risk once more.
    assert realised[1] == "1600.00"
    assert realised[2] is None
    outlook = line_of(valued["outlook"], "More deals won")["amounts"]
    assert outlook[1:4] == ["1600.00", "600.00", "600.00"]
    assert "input_missing" in codes(valued)


def test_a_ramp_is_a_table_a_line_or_an_s_and_may_be_late(story: Story) -> None:
    amount = {"template": "avoided-cost", "inputs": {"amount": {"value": "100", "unit": "EUR"}},
              "planned": {}, "attribution": None}  # fmt: skip
    for name, ramp in {
        "table": {"curve": ["0.3", "0.6"], "delay": 1},
        "linear": {"shape": "linear", "periods": 4},
        "s": {"shape": "s_curve", "periods": 4, "delay": 2},
    }.items():
        story.benefit(**{**amount, "name": name, "adoption": ramp})
    plan = story.get("valuation")["plan"]
    found = {n: [float(a) for a in line_of(plan, n)["amounts"][1:7]] for n in ("table", "linear")}
    assert found == {"table": [0, 30, 60, 60, 60, 60], "linear": [25, 50, 75, 100, 100, 100]}
    curve = [float(a) for a in line_of(plan, "s")["amounts"][1:]]
    assert curve[:2] == [0, 0]
    assert curve[3] == pytest.approx(50)
    assert curve[2] + curve[4] == pytest.approx(100, abs=0.01)
    assert curve[5:] == [100, 100, 100]


def test_weak_evidence_stands_apart_unless_it_is_asked_for(story: Story) -> None:
    story.cost()
    amount = {"template": "avoided-cost", "planned": {}, "attribution": None,
              "inputs": {"amount": {"value": "100", "unit": "EUR"}}}  # fmt: skip
    story.benefit(**{**amount, "name": "Sure", "category": "cashable"})
    story.benefit(**{**amount, "name": "Hours", "category": "soft_time"})
    story.benefit(**{**amount, "name": "Hoped for", "evidence": "unverified"})
    story.benefit(**{**amount, "name": "Posts", "category": "cashable", "posts": "not_released"})
    valued = story.get("valuation")
    assert [row["benefits"] for row in valued["plan"]["cash_flow"][1:3]] == ["100.00", "100.00"]
    left = {line["name"]: line["left_out"] for line in valued["plan"]["lines"]}
    assert left == {"Licences": None, "Sure": None, "Hours": "soft_time",
                    "Hoped for": "unverified", "Posts": "soft_time"}  # fmt: skip
    assert {a["kind"] for a in valued["apart"]} == {"soft_time", "unverified"}
    whole = story.get("valuation", include=["soft_time", "unverified"])
    assert whole["plan"]["cash_flow"][1]["benefits"] == "400.00"
    assert {"apart_soft_time", "apart_unverified"} <= codes(valued)


def test_figures_are_told_by_phase_audience_and_benefit(story: Story) -> None:
    story.cost(phase="North")
    story.benefit(phase="North", audience="customer")
    story.benefit(
        name="Fewer tools", template="legacy-retired", phase="South", planned={},
        inputs={"spend": {"value": "200", "unit": "EUR"}, "share_retired": {"curve": ["0", "1"]}},
        attribution=None,
    )  # fmt: skip
    valued = story.get("valuation")
    parts = {part["name"]: part["plan"] for part in valued["by_phase"]}
    assert set(parts) == {"North", "South"}
    whole = sum(Decimal(part["npv"]["amount"]) for part in parts.values())
    assert abs(whole - npv(valued)) <= Decimal("0.01")
    assert parts["South"]["roi"] == {
        "tei": None, "undiscounted": None, "reason": "no_investment",
    }  # fmt: skip
    assert {part["name"] for part in valued["by_audience"]} == {"customer", "business"}
    plan = valued["plan"]
    assert plan["first_benefit"] == {"period": "2025-Q1", "by": "2025-03-31"}
    assert plan["ownership"]["per_user"] == "36.00"
    assert [y["amount"] for y in plan["ownership"]["by_year"]] == ["1000.00", "400.00", "400.00"]
    gone_live = plan["payback_from_go_live_months"]["value"]
    assert gone_live == pytest.approx(plan["payback_months"]["value"] - 2.96, abs=0.02)
    assert plan["profitability_index"]["value"] == pytest.approx(
        1 + float(npv(valued)) / 1000, abs=1e-4
    )


def test_risk_comes_from_the_open_obstacles_and_mitigation_has_a_worth(story: Story) -> None:
    story.cost()
    story.cost(name="Training", category="training", amounts=["50"])
    story.benefit(goal_id=story.goal, risk_source="obstacles")
    free = npv(story.get("valuation"))
    factor = story.key.post("goals", "/v1/factors", {
        "initiative_id": story.initiative, "kind": "obstacle", "category": "scepticism",
        "text": "Sales does not trust it", "goals": [story.goal], "likelihood": 4, "impact": 4,
        "owner": "Ann", "response": "mitigate",
        "mitigations": [{"kind": "training", "text": "Two days", "likelihood_after": 2,
                         "impact_after": 2, "cost_line": "Training"}],
    })  # fmt: skip
    table = story.key.get("valuation", "/v1/risk-table")
    assert table["is_example"]
    body = {"likelihood": ["0", "0.1", "0.3", "0.5", "0.9"],
            "impact": ["0", "0.2", "0.3", "0.4", "1"], "reason": "Ours"}  # fmt: skip
    answer = story.key.send("PUT", "valuation", "/v1/risk-table", json=body)
    assert answer.json()["is_example"] is False
    valued = story.get("valuation")
    planned = line_of(valued["plan"], "More deals won")["amounts"]
    # 1 - 0.5 x 0.4 of what it was
    assert planned[1:3] == ["320.00", "800.00"]
    (risk,) = story.get("risks")["obstacles"]
    assert (risk["factor_id"], risk["chance"], risk["possible"]) == (factor["id"], 0.2, 0.02)
    assert Decimal(risk["costs_npv"]) == free - npv(valued)
    assert risk["mitigation_cost"] == "50.00"
    assert Decimal(risk["mitigation_worth"]) > 50


def test_a_share_may_be_the_one_that_the_goals_owner_acknowledged(story: Story) -> None:
    story.key.post(
        "goals", f"/v1/goals/{story.goal}/acknowledge-causes", {"acting_reason": "Ann is away"}
    )
    story.benefit(goal_id=story.goal, attribution={"source": "goal", "reason": "As Ann said"})
    planned = line_of(story.get("valuation")["plan"], "More deals won")["amounts"]
    assert planned[1] == "480.00"
    story.benefit(
        name="A bold claim", goal_id=story.goal, overlap={"group": "g", "share": "0.5"},
        attribution={"share": "0.9", "reason": "We did it all"},
    )  # fmt: skip
    assert "above_acknowledged" in codes(story.get("findings"))


def test_one_movement_is_turned_into_money_once(story: Story) -> None:
    story.cost()
    story.benefit()
    alone = npv(story.get("valuation"))
    again = story.benefit(name="The same again", audience="customer")
    valued = story.get("valuation")
    assert npv(valued) == alone
    assert line_of(valued["plan"], "The same again")["left_out"] == "overlap"
    assert "overlap" in codes(valued)
    for line in again["benefits"]:
        body = {**story.uplift(), "name": line["name"],
                "overlap": {"group": "win rate", "share": "0.5"}}  # fmt: skip
        path = f"/v1/cases/{story.case}/benefits/{line['id']}"
        answer = story.key.send("PUT", "valuation", path, json=body,
                                params={"reason": "Half each"})  # fmt: skip
        assert answer.status_code == 200, answer.text
    shared = story.get("valuation")
    assert abs(npv(shared) - alone) <= Decimal("0.01")
    assert "overlap" not in codes(shared)
    story.refused(409, "benefits", {
        **story.uplift(), "name": "Third", "overlap": {"group": "win rate", "share": "0.1"},
    })  # fmt: skip


def test_all_initiatives_together_claim_no_more_than_the_whole(story: Story) -> None:
    story.benefit()
    other = story.key.post("goals", "/v1/initiatives", {"name": "Prices", "currency": "EUR"})
    second = story.open(initiative_id=other["id"])
    problem = story.refused(409, "benefits", story.uplift(
        attribution={"share": "0.6", "reason": "Prices did it"}), second)  # fmt: skip
    assert "1.1" in problem["detail"]
    assert "0.5" in problem["detail"]
    story.post("benefits", story.uplift(attribution={"share": "0.5", "reason": "Half"}), second)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"template": None, "formula": "change * volume"}, "unused"),
        ({"inputs": {"change": {"value": "1"}}}, "unknown_input"),
        ({"capture": "1.5"}, ""),
        ({"adoption": {"curve": ["-0.1"]}}, ""),
        ({"adoption": {"curve": ["1.1"]}}, ""),
        ({"attribution": {"share": "1.01", "reason": "More than all"}}, ""),
        ({"risk_source": "obstacles"}, ""),
        ({"planned": {}}, "missing"),
        ({"goal_id": "0" * 36}, ""),
    ],
)
def test_what_makes_no_sense_is_refused(story: Story, change: Body, code: str) -> None:
    before = story.key.get("valuation", f"/v1/cases/{story.case}")["basis"]
    path = f"/v1/cases/{story.case}/benefits"
    answer = story.key.send("POST", "valuation", path, json={**story.uplift(), **change})
    assert answer.status_code in (404, 422), answer.text
    if code:
        assert code in {error["code"] for error in answer.json()["errors"]}
    assert story.key.get("valuation", f"/v1/cases/{story.case}")["basis"] == before


@pytest.mark.parametrize(
    ("formula", "units"),
    [
        ("a * b", {"a": "h", "b": "count"}),
        ("a * b", {"a": "EUR", "b": "EUR"}),
        ("a + b", {"a": "EUR", "b": "h"}),
        ("a * b", {"a": "s", "b": "EUR/day"}),
        ("a / b", {"a": "EUR", "b": "h"}),
    ],
)
def test_a_formula_that_gives_no_money_is_refused(
    story: Story, formula: str, units: dict[str, str]
) -> None:
    problem = story.refused(422, "benefits", {
        "name": "No money", "category": "cashable", "formula": formula,
        "inputs": {name: {"value": "1", "unit": unit} for name, unit in units.items()},
    })  # fmt: skip
    assert problem["errors"][0]["code"] == "unit"


def test_usage_is_never_money(story: Story) -> None:
    story.key.post("metrics", "/v1/metrics", {
        "key": "logins", "name": "Log-ins", "unit": "count", "nature": "usage",
        "definition": CLOSED,
    })  # fmt: skip
    problem = story.refused(422, "benefits", {
        "name": "Log-ins", "category": "cashable", "formula": "logins * worth",
        "inputs": {"logins": {"metric": {"key": "logins"}},
                   "worth": {"value": "1", "unit": "EUR"}},
        "planned": {"logins": {"value": "10"}},
    })  # fmt: skip
    assert problem["errors"][0]["code"] == "usage_metric"
