"""Finance: published vectors, and laws that every series of flows obeys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.valuation.domain.case import Case, CaseBody
from services.valuation.domain.finance import factors, payback, present_value, ratio
from services.valuation.domain.lines import CostLine, Once, Recurring
from services.valuation.domain.measured import Measured
from services.valuation.domain.schedule import Slot, booking_spans, planned_flows, slots_of
from services.valuation.domain.valuation import value

D = Decimal
ENDS = [date(2025 + n, 1, 1) for n in range(4)]


def flows(*amounts: float) -> list[Decimal]:
    return [D(str(a)) for a in amounts]


def test_a_published_study_comes_out_to_the_dollar(data_folder: Path) -> None:
    studies = json.loads((data_folder / "tei" / "tables.json").read_text())["studies"]
    study = next(s for s in studies if s["id"] == "tei_d365_business_central_2020")
    table = study["cash_flow"]
    discount = factors(D(str(study["discount_rate"])), 12, ENDS, "end_of_period")
    for name in ("costs", "benefits"):
        pv = present_value(flows(*table[f"total_{name}"]), discount)
        assert pv == pytest.approx(D(table["pv"][name]), abs=2)
    net = flows(*table["net_benefits"])
    assert present_value(net, discount) == pytest.approx(D(study["npv"]), abs=3)
    months = payback(net, 12).value
    assert float(months or 0) == pytest.approx(study["payback"]["computed_linear_months"], abs=0.01)


def test_conventions_give_different_figures_each_under_its_name() -> None:
    series = flows(-100, 60, 60, 60)
    npvs = {
        name: present_value(series, factors(D("0.1"), 12, ENDS, name))
        for name in ("end_of_period", "mid_period", "exact_dates")
    }
    assert npvs["end_of_period"] == pytest.approx(D("49.2111"), abs=D("0.001"))
    assert npvs["mid_period"] > npvs["end_of_period"]
    assert len(set(npvs.values())) == 3 or npvs["exact_dates"] != npvs["mid_period"]


@pytest.mark.parametrize(
    ("series", "months", "value_", "reason"),
    [
        ((-100, 50, 50, 50), 12, 24, None),
        ((-100, 40, 40, 40), 12, 30, None),
        ((0, -100, 50, 100), 3, 7.5, None),
        ((-100, 10, 10), 12, None, "not_reached"),
        ((0, 10, 10), 12, None, "no_investment"),
        # Paid back, spent again, and paid back for good: the last crossing counts.
        ((-1000, 1100, -500, 900), 1, 2 + 400 / 900, None),
        ((-1000, 1100, -500, 300), 1, None, "not_reached"),
    ],
)
def test_payback_is_linear_inside_a_period_from_the_first_outlay(
    series: tuple[float, ...], months: int, value_: float | None, reason: str | None
) -> None:
    found = payback(flows(*series), months)
    assert found.reason == reason
    assert (None if found.value is None else float(found.value)) == pytest.approx(value_)


AMOUNTS = st.lists(st.integers(-10_000, 10_000), min_size=4, max_size=4)


@given(AMOUNTS, AMOUNTS, st.integers(1, 50))
def test_present_value_is_linear_and_undiscounted_at_rate_zero(
    a: list[int], b: list[int], percent: int
) -> None:
    discount = factors(D(percent) / 100, 12, ENDS, "end_of_period")
    together = present_value(flows(*(x + y for x, y in zip(a, b, strict=True))), discount)
    apart = present_value(flows(*a), discount) + present_value(flows(*b), discount)
    assert together == pytest.approx(apart, abs=D("1e-20"))
    assert present_value(flows(*a), factors(D(0), 12, ENDS, "mid_period")) == sum(a)


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_the_benefit_cost_ratio_is_roi_plus_one(costs: int, benefits: int) -> None:
    roi, bcr = ratio(D(benefits - costs), D(costs)), ratio(D(benefits), D(costs))
    assert roi is not None
    assert bcr == pytest.approx(roi + 1)


def test_without_an_investment_there_is_no_ratio() -> None:
    assert ratio(D(1), D(0)) is None


FRAME = CaseBody(
    initiative_id="i", name="c", currency="EUR", start=date(2025, 7, 1), grain="quarter", periods=4,
    discount_rate=D("0.08"), convention="end_of_period",
)  # fmt: skip


def test_the_axis_uses_the_calendars_names_where_it_can() -> None:
    assert [s.name for s in slots_of(FRAME)] == [
        "initial",
        "2025-Q3",
        "2025-Q4",
        "2026-Q1",
        "2026-Q2",
    ]
    odd = FRAME.model_copy(update={"start": date(2025, 7, 15)})
    assert slots_of(odd)[1].name == "2025-07-15..2025-10-15"
    assert booking_spans(slots_of(FRAME))[1] == (1, "2025-07-02..2025-10-01")


def planned_costs(line: CostLine, slots: Sequence[Slot]) -> list[Decimal]:
    found = [D(0)] * len(slots)
    for flow in planned_flows(line, slots) or []:
        found[flow.slot] += flow.amount
    return found


def test_planned_costs_fall_where_they_are_due_with_their_risk() -> None:
    slots = slots_of(FRAME)
    once = CostLine(cost_id="1", name="n", category="c", risk=D("0.1"),
                    once=Once(on=date(2025, 11, 1), amount=D(100)))  # fmt: skip
    assert planned_costs(once, slots) == [0, 0, 110, 0, 0]
    monthly = Recurring(from_=date(2025, 7, 1), to=date(2027, 7, 1), every="P1M", amount=D(10))
    line = CostLine(cost_id="2", name="n", category="c", recurring=monthly)
    assert planned_costs(line, slots) == [0, 30, 30, 30, 30]
    series = CostLine(cost_id="3", name="n", category="c", amounts=[D(5), D(1)])
    assert planned_costs(series, slots) == [5, 1, 0, 0, 0]


def test_booked_costs_replace_the_plan_of_their_item_and_period_only() -> None:
    line = CostLine(cost_id="1", name="Licences", category="licence", amounts=[D(0), D(10), D(10)])
    case = Case(case_id="c", revision=2, body=FRAME, costs=[line])
    valued = value(case, Measured(actuals={"Licences": {1: D(14)}}, elapsed=1))
    assert [row.costs for row in valued.outlook.rows] == [0, 14, 10, 0, 0]
    assert valued.realised.lines[0].variance == 4
    assert [row.costs for row in valued.plan.rows] == [0, 10, 10, 0, 0]
