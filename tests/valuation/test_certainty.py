"""Time travel, frozen valuations, the bridge, scenarios, sensitivity, simulation, break-even."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from tests.support.house import Key
from tests.support.samples import deals
from tests.valuation.test_worth import Body, Story, npv

AMOUNT: dict[str, Any] = {
    "template": "avoided-cost", "category": "cashable", "planned": {}, "attribution": None,
    "evidence": "verified",
}  # fmt: skip


@pytest.fixture
def story(key: Key) -> Story:
    made = Story(key)
    made.cost()
    made.benefit()
    return made


def freeze(story: Story, **body: Any) -> Body:
    asked = {"case_id": story.case, "name": "Board", "reason": "Shown to the board", **body}
    return dict(story.key.post("valuation", "/v1/valuations", asked))


def verified(story: Story, identity: str) -> Body:
    return dict(story.key.post("valuation", f"/v1/valuations/{identity}/verify"))


def test_a_frozen_valuation_comes_out_again_whatever_happens_later(story: Story) -> None:
    story.key.events(*deals("2025-Q1", 30, 70))
    kept = freeze(story)
    assert kept["valuation"]["outlook"]["npv"] == story.get("valuation")["outlook"]["npv"]
    assert {p["period"] for p in kept["inputs"]["proofs"]} >= {"2025-Q1", "2025-Q2"}
    assert kept["inputs"]["baselines"][0]["value"] == "0.2"
    story.key.events(*deals("2025-Q2", 35, 65))
    story.cost(name="Later", category="other", amounts=["500"])
    story.post("actuals", {"item": "Licences", "amount": "1200", "on": "2025-01-01",
                           "reference": "INV-1"})  # fmt: skip
    found = verified(story, kept["id"])
    assert found["identical"], found["differences"]
    assert found["digest"] == found["digest_now"] == kept["digest"]
    assert story.key.get("valuation", f"/v1/valuations/{kept['id']}") == kept
    listed = story.key.get("valuation", "/v1/valuations", case_id=story.case)["items"]
    assert [one["id"] for one in listed] == [kept["id"]]
    assert story.get("valuation")["outlook"]["npv"] != kept["valuation"]["outlook"]["npv"]
    then = story.get("valuation", known_at=kept["known_at"])
    assert then["outlook"] == kept["valuation"]["outlook"]


def test_a_bridge_names_every_cause_and_adds_up_to_the_cent(story: Story) -> None:
    first = freeze(story)
    story.key.events(*deals("2025-Q1", 30, 70))
    story.key.events(*deals("2025-Q2", 33, 67))
    story.post("actuals", {"item": "Licences", "amount": "1234.56", "on": "2025-01-01",
                           "reference": "INV-1"})  # fmt: skip
    answer = story.key.send(
        "PATCH", "valuation", f"/v1/cases/{story.case}",
        json={"discount_rate": "0.12", "reason": "The new rate of treasury"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    second = freeze(story)
    bridge = story.get("bridge", **{"from": first["id"], "to": second["id"]})
    assert Decimal(bridge["before"]) == npv(first["valuation"], "outlook")
    assert Decimal(bridge["after"]) == npv(second["valuation"], "outlook")
    changes = sum(Decimal(step["change"]) for step in bridge["steps"])
    assert Decimal(bridge["before"]) + changes == Decimal(bridge["after"])
    causes = {(step["cause"], step["about"]) for step in bridge["steps"]}
    assert {("assumptions", None), ("cost_actuals", None), ("metric", "win-rate")} <= causes
    moved = {step["cause"]: Decimal(step["change"]) for step in bridge["steps"]}
    assert moved["cost_actuals"] == Decimal("-234.56")
    same = story.get("bridge", **{"from": first["known_at"], "to": second["known_at"]})
    assert same["steps"] == bridge["steps"]
    assert story.get("bridge", **{"from": second["id"]})["before"] == bridge["after"]
    story.key.refused(422, "GET", "valuation", f"/v1/cases/{story.case}/bridge",
                      params={"from": "yesterday"})  # fmt: skip


def test_scenarios_state_assumptions_otherwise(story: Story) -> None:
    path = f"/v1/cases/{story.case}/scenarios/slow"
    slow = {"name": "Slow", "reason": "What if", "overrides": [
        {"of": "benefits/More deals won/inputs/change", "factor": "0.5"},
        {"of": "costs/Licences/amount", "factor": "1.1"},
        {"of": "discount_rate", "value": "0.15"},
    ]}  # fmt: skip
    answer = story.key.send("PUT", "valuation", path, json=slow)
    assert answer.status_code == 200, answer.text
    base, other = story.get("valuation"), story.get("valuation", scenario="slow")
    assert other["plan"]["cash_flow"][1]["benefits"] == "200.00"
    assert base["plan"]["cash_flow"][1]["benefits"] == "400.00"
    assert other["plan"]["cash_flow"][0]["costs"] == "1100.00"
    assert other["conventions"]["discount_rate"] == "0.15"
    shown = story.get("scenarios")["scenarios"]
    assert [one["key"] for one in shown] == ["base", "slow"]
    assert shown[1]["plan"]["npv"] == other["plan"]["npv"]
    kept = freeze(story, scenario="slow")
    assert verified(story, kept["id"])["identical"]
    for override in (
        {"of": "benefits/More deals/capture", "value": "0.5"},
        {"of": "benefits/More deals won/capture", "value": "1.5"},
        {"of": "benefits/More deals won/inputs/chance", "value": "1"},
        {"of": "weather", "value": "1"},
    ):
        story.key.refused(422, "PUT", "valuation", path, json={**slow, "overrides": [override]})
    story.key.refused(404, "GET", "valuation", f"/v1/cases/{story.case}/valuation",
                      params={"scenario": "fast"})  # fmt: skip
    story.post("scenarios/slow/drop", {"reason": "Not looked at any more"})
    assert [one["key"] for one in story.get("scenarios")["scenarios"]] == ["base"]


def test_a_tornado_moves_one_assumption_and_says_where_it_turns_the_case(story: Story) -> None:
    found = story.get("sensitivity")
    base = npv(story.get("valuation"))
    assert Decimal(found["npv"]) == base
    swings = {one["assumption"].partition("/")[2].partition("/")[2]: one
              for one in found["swings"]}  # fmt: skip
    widths = [abs(Decimal(o["npv_high"]) - Decimal(o["npv_low"])) for o in found["swings"]]
    assert widths == sorted(widths, reverse=True)
    margin = swings["inputs/margin"]
    assert (margin["low"], margin["high"]) == (0.36, 0.44)
    turned = {"name": "Turned", "reason": "Where it turns", "overrides": [
        {"of": "benefits/More deals won/inputs/margin", "value": f"{margin['switching']:.10f}"[:8]},
    ]}  # fmt: skip
    story.key.send("PUT", "valuation", f"/v1/cases/{story.case}/scenarios/turned", json=turned)
    assert abs(npv(story.get("valuation", scenario="turned"))) < 1
    # No share of the effect above the whole of it can turn the case further.
    assert swings["capture"]["high"] == 1


def test_the_same_seed_gives_the_same_distribution(story: Story) -> None:
    triangle = {"kind": "triangular", "low": "0.2", "mode": "0.4", "high": "0.6"}
    asked: Body = {"draws": 20_000, "seed": 7, "uncertain": [
        {"of": "benefits/More deals won/inputs/margin", "distribution": triangle},
        {"of": "costs/Licences/amount",
         "distribution": {"kind": "normal", "mean": "1", "sd": "0.1"}},
    ]}  # fmt: skip
    first, second = story.post("simulation", asked), story.post("simulation", asked)
    assert first == second
    base = float(npv(story.get("valuation")))
    # The case is linear in both, so that the mean is the worth at the means.
    assert first["mean"] == pytest.approx(base, abs=4 * first["sd"] / math.sqrt(20_000))
    quantiles = [q["npv"] for q in first["quantiles"]]
    assert quantiles == sorted(quantiles)
    assert sum(one["draws"] for one in first["histogram"]) == 20_000
    shares = {one["label"]: one["share"] for one in first["variance_shares"]}
    assert sum(shares.values()) == pytest.approx(1, abs=0.05)
    assert shares["More deals won: margin"] > shares["Licences"]
    likely = [one["probability"] for one in first["payback"]]
    assert likely == sorted(likely)
    assert story.post("simulation", {**asked, "seed": 8})["mean"] != first["mean"]
    one_more = [*asked["uncertain"], {
        "of": "benefits/More deals won/capture",
        "distribution": {"kind": "uniform", "low": "1", "high": "1"},
    }]  # fmt: skip
    assert story.post("simulation", {**asked, "uncertain": one_more})["mean"] == first["mean"]


@pytest.mark.parametrize(
    "distribution",
    [
        {"kind": "triangular", "low": "2", "mode": "1", "high": "3"},
        {"kind": "uniform", "low": "3", "high": "1"},
        {"kind": "pert", "low": "1", "high": "3"},
        {"kind": "normal", "mean": "1", "sd": "-1"},
        {"kind": "lognormal", "mean": "0", "sd": "1"},
        {"kind": "discrete", "values": ["1"], "weights": ["0"]},
        {"kind": "history", "metric": "win-rate", "periods": ["1999", "1998"]},
    ],
)
def test_a_distribution_that_can_not_be_is_refused(story: Story, distribution: Body) -> None:
    uncertain = {"of": "benefits/More deals won/inputs/margin", "distribution": distribution}
    story.refused(422, "simulation", {"uncertain": [uncertain]})
    story.refused(422, "simulation", {})
    story.refused(422, "benefits", {
        **AMOUNT, "name": "b", "inputs": {"amount": {"distribution": distribution, "unit": "EUR"}},
    })  # fmt: skip


def test_an_input_may_be_drawn_from_a_metrics_own_history(story: Story) -> None:
    story.key.events(*deals("2025-Q1", 30, 70))
    story.post("benefits", {
        **AMOUNT, "name": "As it went", "formula": "rate * 1000 * price", "template": None,
        "inputs": {
            "rate": {"unit": "ratio", "distribution": {
                "kind": "history", "metric": "win-rate", "periods": ["2024-Q4", "2025-Q1"]}},
            "price": {"value": "1", "unit": "EUR"},
        },
    })  # fmt: skip
    plan = story.get("valuation")["plan"]
    line = next(one for one in plan["lines"] if one["name"] == "As it went")
    assert line["amounts"][1] == "250.00"
    found = story.post("simulation", {"draws": 1_000})
    spread = found["quantiles"][-1]["npv"] - found["quantiles"][0]["npv"]
    assert spread > 0


def test_break_even_is_told_in_money_time_and_units_that_people_know(story: Story) -> None:
    found = story.get("break-even")
    plan = story.get("valuation")["plan"]
    assert found["money"] == plan["pv_costs"]["amount"]
    assert found["months"]["value"] == plan["discounted_payback_months"]["value"]
    (units,) = found["units"]
    # A further deal brings 1000 x 0.4; half of it is due to the CRM.
    assert units["margin_per_unit"] == "400.00"
    needed = Decimal(plan["pv_costs"]["amount"]) / 400 / Decimal("0.5")
    assert units["units"] == math.ceil(needed)
    assert units["planned"] == 2 + 7 * 5


def test_cases_are_held_against_each_other_within_a_budget(story: Story) -> None:
    def case(name: str, cost: str, gain: str) -> str:
        identity = story.open(name=name, discount_rate="0", grain="year", periods=1)
        cost_line = {"name": "c", "category": "other", "amounts": [cost]}
        story.post("costs", cost_line, identity)
        inputs = {"amount": {"value": gain, "unit": "EUR"}}
        story.post("benefits", {**AMOUNT, "name": "b", "inputs": inputs}, identity)
        return identity

    small, large, other = case("s", "40", "100"), case("l", "90", "200"), case("o", "50", "95")
    ask = {"cases": [small, large, other], "budget": "100"}
    found = story.key.post("valuation", "/v1/comparisons", ask)
    assert [one["name"] for one in found["cases"]] == ["l", "s", "o"]
    # The large one alone is worth 110; both small ones together 105.
    assert (found["best"], found["best_npv"]) == ([large], "110.00")
    assert found["cases"][1]["npv_per_unit"] == 1.5
    smaller = {**ask, "budget": "89.99"}
    assert story.key.post("valuation", "/v1/comparisons", smaller)["best"] == [small]
    either = {**ask, "budget": "1000", "options": [[small, large]]}
    assert story.key.post("valuation", "/v1/comparisons", either)["best_npv"] == "155.00"
    dollars = story.open(currency="USD")
    story.key.refused(422, "POST", "valuation", "/v1/comparisons",
                      json={"cases": [small, dollars]})  # fmt: skip


def test_dated_flows_are_discounted_by_their_days(story: Story) -> None:
    case = story.open(convention="exact_dates", grain="year", periods=4, start="2015-06-11")
    for on, amount in (("2015-06-11", "1000"), ("2015-07-21", "9000"), ("2018-06-10", "-20000"),
                       ("2015-10-17", "3000")):  # fmt: skip
        body = {"name": on, "category": "other", "once": {"on": on, "amount": amount}}
        story.post("costs", body, case)
    plan = story.key.get("valuation", f"/v1/cases/{case}/valuation")["plan"]
    assert float(plan["npv"]["amount"]) == pytest.approx(2218.42566, abs=0.01)
    assert plan["xirr"]["value"] == pytest.approx(0.16353715844, abs=1e-9)


def test_other_currencies_need_a_recorded_rate(story: Story) -> None:
    dollars = {"name": "Cloud", "category": "licence", "amounts": ["100", "10"], "currency": "USD"}
    problem = story.refused(422, "costs", dollars)
    assert problem["errors"][0]["code"] == "missing_rate"
    story.refused(422, "costs", {**dollars, "currency": "XXZ"})
    rate: Body = {"specversion": "1.0", "type": "fx.rate.observed", "source": "/ecb",
            "data": {"base": "EUR", "quote": "USD"}}  # fmt: skip
    story.key.events(
        {**rate, "id": "1", "occurredon": "2024-12-31", "data": {**rate["data"], "rate": "1.25"}},
        {**rate, "id": "2", "occurredon": "2025-02-01", "data": {**rate["data"], "rate": "1"}},
    )  # fmt: skip
    story.post("costs", dollars)
    plan = story.get("valuation")["plan"]
    line = next(one for one in plan["lines"] if one["name"] == "Cloud")
    assert line["amounts"][:3] == ["80.00", "10.00", "0.00"]


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        ({"periods": 0}, 422), ({"periods": 500, "grain": "year"}, 422),
        ({"periods": 101, "grain": "year"}, 422), ({"discount_rate": "-1"}, 422),
        ({"currency": "EURO"}, 422), ({"initiative_id": "0" * 36}, 404), ({"users": 0}, 422),
    ],
)  # fmt: skip
def test_a_frame_that_can_not_be_is_refused(story: Story, frame: Body, status: int) -> None:
    body = {"initiative_id": story.initiative, "name": "n", "currency": "EUR",
            "start": "2025-01-01", "discount_rate": "0.1", **frame}  # fmt: skip
    story.key.refused(status, "POST", "valuation", "/v1/cases", json=body)


def test_a_case_without_lines_has_nulls_with_reasons(story: Story) -> None:
    empty = story.open()
    valued = story.key.get("valuation", f"/v1/cases/{empty}/valuation")
    plan = valued["plan"]
    assert plan["roi"]["reason"] == "no_investment"
    assert plan["irr"]["status"] == "no_sign_change"
    assert plan["payback_months"] == {"value": None, "reason": "no_investment",
                                      "first_crossing": None}  # fmt: skip
    assert plan["mirr"]["reason"] == "no_sign_change"
    assert {f["code"] for f in valued["findings"]} == {"no_costs", "no_benefits"}
    for what in ("sensitivity", "break-even", "risks", "findings", "scenarios"):
        story.key.get("valuation", f"/v1/cases/{empty}/{what}")


def test_what_runs_away_is_said_and_breaks_nothing(story: Story) -> None:
    story.post("benefits", {
        **AMOUNT, "template": None, "name": "Runs away", "formula": " * ".join(["a"] * 40),
        "inputs": {"a": {"value": "999999999999999", "unit": ""}},
    })  # fmt: skip
    story.post("costs", {"name": "Runs away too", "category": "other", "recurring": {
        "from": "2025-01-01", "to": "2027-01-01", "every": "P1M", "amount": "900000000000000",
        "indexation": "10"}})  # fmt: skip
    found = story.get("valuation")
    assert {"too_large"} <= {finding["code"] for finding in found["findings"]}
    for what in ("sensitivity", "break-even", "risks", "report", "scenarios", "before-after"):
        story.get(what)
    wild = {"kind": "lognormal", "mean": "999999999999999", "sd": "999999999999999"}
    of = "benefits/Runs away/inputs/a"
    story.refused(422, "simulation", {"uncertain": [{"of": of, "distribution": wild}]})


def test_the_history_of_a_case_says_who_changed_what_and_why(story: Story) -> None:
    answer = story.key.send(
        "PATCH", "valuation", f"/v1/cases/{story.case}",
        json={"discount_rate": "0.12", "reason": "The new rate of treasury"},
    )  # fmt: skip
    benefit = answer.json()["benefits"][0]["id"]
    story.post(f"lines/{benefit}/withdraw", {"reason": "Nobody believes it"})
    told = story.get("history")["entries"]
    assert [entry["what"]["code"] for entry in told] == [
        "case_opened", "cost_added", "benefit_added", "case_changed", "line_withdrawn",
    ]  # fmt: skip
    assert told[3]["reason"] == "The new rate of treasury"
    assert "More deals won" in told[4]["what"]["text"]
    path = f"/v1/cases/{story.case}/history"
    swedish = story.key.send("GET", "valuation", path, headers={"Accept-Language": "sv"}).json()
    assert "lade till kostnaden" in swedish["entries"][1]["what"]["text"]
    then = story.get("history", known_at=told[1]["at"])["entries"]
    assert len(then) == 2


def test_the_same_voucher_with_another_amount_is_refused(story: Story) -> None:
    booking = {"item": "Licences", "amount": "100", "on": "2025-02-01", "reference": "V-1"}
    story.post("actuals", booking)
    assert story.post("actuals", booking)["status"] == "duplicate"
    story.refused(409, "actuals", {**booking, "amount": "200"})
    valued = story.get("valuation")
    assert valued["outlook"]["cash_flow"][1]["costs"] == "100.00"
