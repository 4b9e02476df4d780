"""Published studies, entered by HTTP from their drivers, give their published figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import Key

Rows = dict[str, dict[str, Any]]
BUSINESS_CENTRAL = "tei_d365_business_central_2020"
BENEFITS = {
    "A": "A1 * A2 * A4",
    "B": "B1 * B2 * B3 * B4",
    "C": "C1 * C2",
    "D": "D1 * D2 + D4 * D5 * D6 * 12",
}
# The study prints 0.33 years, but computes with four months.
COSTS = {
    "E": "E1 * E2 * 12",
    "F": "F1 * 4 / 12 * F3 * F4 + F8 + F9 * F10 * F11",
}


@pytest.fixture(scope="module")
def studies(data_folder: Path) -> dict[str, Any]:
    found = json.loads((data_folder / "tei" / "tables.json").read_text())["studies"]
    return {study["id"]: study for study in found}


def open_case(key: Key, study: dict[str, Any], **frame: Any) -> str:
    initiative = key.post("goals", "/v1/initiatives", {"name": "ERP", "currency": "USD"})
    case = key.post("valuation", "/v1/cases", {
        "initiative_id": initiative["id"], "name": study["title"][:200], "currency": "USD",
        "start": "2025-01-01", "grain": "year", "periods": 3,
        "discount_rate": str(study["discount_rate"]), **frame,
    })  # fmt: skip
    return f"/v1/cases/{case['id']}"


def rows(table: dict[str, Any]) -> Rows:
    return {row["ref"]: row for row in table["rows"]}


def inputs(table: dict[str, Any], formula: str, unit: str | None = None) -> dict[str, Any]:
    """The driver rows that a formula names; what has no figure for a year counts as nothing."""
    used = set(formula.replace("(", " ").replace(")", " ").split())
    return {
        ref: {
            "curve": [str(value or 0) for value in row["values"]],
            "unit": unit or row["unit"].split(" (")[0],
        }
        for ref, row in rows(table).items()
        if ref in used
    }


def enter(key: Key, study: dict[str, Any], **frame: Any) -> str:
    path = open_case(key, study, **frame)
    for table in study["cost_tables"]:
        formula = COSTS[table["ref"]]
        key.post("valuation", f"{path}/costs", {
            "name": table["name"], "category": "licence", "formula": formula,
            "inputs": inputs(table, formula), "risk": str(table["risk"]),
        })  # fmt: skip
    for table in study["benefit_tables"]:
        formula = BENEFITS[table["ref"]]
        key.post("valuation", f"{path}/benefits", {
            "name": table["name"], "category": "cashable", "formula": formula,
            "inputs": inputs(table, formula), "risk": str(-table["risk"]), "evidence": "verified",
        })  # fmt: skip
    return path


def test_a_study_comes_out_of_its_drivers(key: Key, studies: dict[str, Any]) -> None:
    study = studies[BUSINESS_CENTRAL]
    path = enter(key, study)
    valued = key.get("valuation", f"{path}/valuation")
    plan, printed = valued["plan"], study["cash_flow"]
    for column, found in (("total_costs", "costs"), ("total_benefits", "benefits")):
        amounts = [float(row[found]) for row in plan["cash_flow"]]
        assert amounts == pytest.approx(printed[column], abs=1), column
    assert float(plan["pv_costs"]["amount"]) == pytest.approx(printed["pv"]["costs"], abs=2)
    assert float(plan["pv_benefits"]["amount"]) == pytest.approx(printed["pv"]["benefits"], abs=2)
    assert float(plan["npv"]["amount"]) == pytest.approx(study["npv"], abs=3)
    assert plan["roi"]["tei"] * 100 == pytest.approx(study["roi_pct"], abs=0.5)
    months = study["payback"]["computed_linear_months"]
    assert plan["payback_months"]["value"] == pytest.approx(months, abs=0.01)
    assert plan["irr"]["value"] == pytest.approx(study["irr_computed"], abs=1e-4)
    assert plan["mirr"]["value"] == pytest.approx(study["mirr_computed_at_rate"], abs=1e-4)
    assert plan["bcr"] == pytest.approx(study["bcr_computed"], abs=1e-3)
    worth = {b["name"]: float(b["pv_planned"]["amount"]) for b in valued["benefits"]}
    for table in study["benefit_tables"]:
        assert worth[table["name"]] == pytest.approx(table["pv"], abs=1.5)
    years = {y["year"]: float(y["amount"]) for y in plan["ownership"]["by_year"]}
    assert list(years.values()) == pytest.approx(printed["total_costs"], abs=1)


def test_wrong_conventions_give_other_figures(key: Key, studies: dict[str, Any]) -> None:
    study = studies[BUSINESS_CENTRAL]
    wrong = study["wrong_convention_roi_pct"]
    middle = key.get("valuation", f"{enter(key, study, convention='mid_period')}/valuation")["plan"]
    assert middle["roi"]["tei"] * 100 == pytest.approx(wrong["mid_year"], abs=0.5)
    plan = key.get("valuation", f"{enter(key, study)}/valuation")["plan"]
    assert plan["roi"]["undiscounted"] * 100 == pytest.approx(wrong["undiscounted_roi"], abs=0.5)
    benefits, npv = float(plan["pv_benefits"]["amount"]), float(plan["npv"]["amount"])
    assert npv / benefits * 100 == pytest.approx(wrong["roi_on_benefits"], abs=0.5)
    assert abs(plan["roi"]["tei"] * 100 - wrong["roi_on_benefits"]) > 50


def test_a_textbook_sheet_comes_out(key: Key, studies: dict[str, Any]) -> None:
    study = studies["textbook_three_year_npv_roi"]
    path, table = open_case(key, study), study["cash_flow"]
    key.post("valuation", f"{path}/costs", {
        "name": "All", "category": "other", "amounts": [str(c) for c in table["total_costs"]],
    })  # fmt: skip
    key.post("valuation", f"{path}/benefits", {
        "name": "All gains", "category": "cashable", "template": "avoided-cost",
        "inputs": {"amount": {"curve": [str(b) for b in table["total_benefits"][1:]]}},
    })  # fmt: skip
    plan = key.get("valuation", f"{path}/valuation")["plan"]
    assert float(plan["npv"]["amount"]) == pytest.approx(study["npv"], abs=1)
    assert plan["roi"]["tei"] * 100 == pytest.approx(study["roi_pct"], abs=0.5)
    months = study["payback"]["computed_linear_months"]
    assert plan["payback_months"]["value"] == pytest.approx(months, abs=0.01)
    total, found = 0.0, []
    for row in plan["cash_flow"]:
        total += float(row["discounted"])
        found.append(total)
    assert found == pytest.approx(study["cumulative_discounted"], abs=1)
    assert plan["irr"]["value"] == pytest.approx(study["irr_computed"], abs=1e-4)
    assert plan["mirr"]["value"] == pytest.approx(study["mirr_computed_at_rate"], abs=1e-4)


def test_hours_saved_are_captured_in_part_and_scale_with_seats(
    key: Key, studies: dict[str, Any]
) -> None:
    study = studies["tei_microsoft_365_copilot_2025"]
    (table,) = study["benefit_tables"]
    path, formula = open_case(key, study), "seats * 0.67 * h * 12 * rate"
    for cost in study["cost_summary"]:
        key.post("valuation", f"{path}/costs", {
            "name": cost["name"], "category": "licence",
            "amounts": [str(cost["initial"]), *(str(y) for y in cost["years"])],
        })  # fmt: skip
    key.post("valuation", f"{path}/benefits", {
        "name": table["name"], "category": "cashable", "formula": formula, "capture": "0.5",
        "risk": "0.1", "inputs": inputs(table, formula),
    })  # fmt: skip
    valued = key.get("valuation", f"{path}/valuation")
    printed = rows(table)["Btr"]["values"]
    found = [float(row["benefits"]) for row in valued["plan"]["cash_flow"][1:]]
    assert found == pytest.approx(printed, abs=1)
    pv = study["cash_flow"]["pv"]["costs"]
    assert float(valued["plan"]["pv_costs"]["amount"]) == pytest.approx(pv, abs=2)


def test_a_case_of_one_year_with_a_dip_and_a_dis_benefit(key: Key, studies: dict[str, Any]) -> None:
    """Goal: a published calculator comes out, whose first year is not discounted.

    Method: its inputs become curves of one year at a rate of 0; what becomes worse is a
    dis-benefit, and the productivity dip a cost.
    """
    study = studies["dora_roi_ai_calculator_2026"]
    given, expected = study["inputs"], study["expected"]

    def stated(*names: str) -> dict[str, Any]:
        return {name: {"value": str(given[name])} for name in names}

    path = open_case(key, {**study, "discount_rate": 0}, periods=1)
    hard = "staff * (licence_per_user + extra_cost_per_user + training_per_user) + infrastructure"
    names = ["staff", "licence_per_user", "extra_cost_per_user", "training_per_user"]
    dip = "staff * salary * j_curve_drop * j_curve_months / 12"
    fallen = ("staff", "salary", "j_curve_drop", "j_curve_months")
    spent: dict[str, tuple[str, str, tuple[str, ...]]] = {
        "Hard costs": ("licence", hard, (*names, "infrastructure")),
        "Dip": ("productivity_dip", dip, fallen),
    }
    for name, (category, formula, used) in spent.items():
        # Everything is spent in the first year, nothing again.
        once = {n: {"curve": [str(given[n]), "0"]} if n in ("staff", "infrastructure") else v
                for n, v in stated(*used).items()}  # fmt: skip
        body = {"name": name, "category": category, "formula": formula, "inputs": once}
        key.post("valuation", f"{path}/costs", body)
    downtime = "(deployments_target * cfr_target - deployments_now * cfr_now) * fdrt_h * hour"
    gains: dict[str, tuple[str, tuple[str, ...], bool]] = {
        "Capacity": ("staff * salary * time_saved_share", ("staff", "salary", "time_saved_share"),
                     False),
        "Features": (
            "(features_target - features_now) * idea_success * revenue_impact_per_feature"
            " * revenue",
            ("features_target", "features_now", "idea_success", "revenue_impact_per_feature",
             "revenue"), False,
        ),
        "Downtime": (downtime, ("deployments_target", "cfr_target", "deployments_now", "cfr_now",
                                "fdrt_h"), True),
    }  # fmt: skip
    for name, (formula, drivers, negative) in gains.items():
        sources = stated(*drivers)
        if negative:
            sources["hour"] = {"value": str(given["downtime_cost_per_hour"])}
        key.post("valuation", f"{path}/benefits", {
            "name": name, "category": "cashable", "formula": formula, "negative": negative,
            "inputs": sources,
        })  # fmt: skip
    plan = key.get("valuation", f"{path}/valuation")["plan"]
    lines = {line["name"]: float(line["total"]) for line in plan["lines"]}
    assert lines["Hard costs"] == expected["hard_costs"]
    assert lines["Dip"] == expected["j_curve_cost"]
    assert lines["Capacity"] == expected["capacity_value"]
    assert lines["Features"] == pytest.approx(expected["feature_revenue"])
    assert lines["Downtime"] == pytest.approx(expected["downtime"])
    assert float(plan["npv"]["amount"]) == expected["first_year_benefit"]
    assert plan["roi"]["tei"] * 100 == pytest.approx(expected["roi_pct"], abs=0.05)
    years = plan["payback_months"]["value"] / 12
    assert years == pytest.approx(expected["payback_years"], abs=0.05)
