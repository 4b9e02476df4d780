"""Published vectors of finance: all agree, or are null or `multiple` with the right reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.valuation.domain.finance import (
    factor_on,
    factors,
    mirr,
    monthly_rate,
    payback,
    present_value,
    ratio,
)
from services.valuation.domain.roots import Rate, irr, xirr

D = Decimal
Vector = dict[str, Any]


def vectors(folder: Path, *functions: str) -> list[Vector]:
    found = json.loads((folder / "finance" / "vectors.json").read_text())["vectors"]
    chosen = [v for v in found if v["function"] in functions]
    assert chosen, "there are such vectors"
    return chosen


def flows(amounts: list[float]) -> list[Decimal]:
    return [D(str(amount)) for amount in amounts]


def dated(inputs: Vector) -> list[tuple[date, Decimal]]:
    days = [date.fromisoformat(day) for day in inputs["dates"]]
    return list(zip(days, flows(inputs["amounts"]), strict=True))


def demand(vector: Vector, found: Rate) -> None:
    """One root is the rate; several are all named and none is; none has its reason."""
    kind, name = vector["expected_kind"], vector["id"]
    roots = vector.get("all_real_roots")
    if roots is None:
        roots = [vector["expected"]]
    if kind in ("no_sign_change", "no_root", "no_root_reported"):
        status = "no_root" if kind == "no_root_reported" else kind
        assert (found.value, found.status, found.roots) == (None, status, ()), name
    elif roots and max(roots) > 1e6:
        assert (found.value, found.status) == (None, "out_of_range"), name
    elif len(roots) > 1:
        assert (found.value, found.status) == (None, "multiple"), name
        assert sorted(found.roots) == pytest.approx(sorted(roots), rel=1e-9, abs=1e-8), name
    else:
        assert found.status == "one", name
        assert found.value == pytest.approx(roots[0], abs=vector["tolerance_abs"]), name


def test_every_irr_vector_holds(data_folder: Path) -> None:
    for vector in vectors(data_folder, "IRR"):
        demand(vector, irr(flows(vector["inputs"]["values"]), 12))


def test_every_xirr_vector_by_actual_days_holds(data_folder: Path) -> None:
    for vector in vectors(data_folder, "XIRR"):
        if "day_count" not in vector["inputs"]:
            demand(vector, xirr(dated(vector["inputs"])))


def test_every_npv_vector_holds(data_folder: Path) -> None:
    """Excel's NPV discounts the first value too; ours begins at time 0."""
    ends = [date(2025 + n, 1, 1) for n in range(20)]
    for vector in vectors(data_folder, "NPV_EXCEL", "NPV_EXCEL_PLUS_INITIAL", "NPV_FROM_T0"):
        inputs, before = vector["inputs"], [D(0)]
        if vector["function"] == "NPV_FROM_T0":
            before = []
        elif "initial" in inputs:
            before = flows([inputs["initial"]])
        series = before + flows(inputs["values"])
        discount = factors(D(str(inputs["rate"])), 12, ends[: len(series)], "end_of_period")
        found = float(present_value(series, discount))
        assert found == pytest.approx(vector["expected"], abs=vector["tolerance_abs"])


def test_dated_flows_are_discounted_by_their_days(data_folder: Path) -> None:
    for vector in vectors(data_folder, "XNPV"):
        series, rate = dated(vector["inputs"]), D(str(vector["inputs"]["rate"]))
        start = min(day for day, _ in series)
        found = sum(amount * factor_on(rate, start, day) for day, amount in series)
        assert float(found) == pytest.approx(vector["expected"], abs=vector["tolerance_abs"])


def test_every_mirr_vector_holds(data_folder: Path) -> None:
    for vector in vectors(data_folder, "MIRR"):
        inputs = vector["inputs"]
        rates = [D(str(inputs[name])) for name in ("finance_rate", "reinvest_rate")]
        found = mirr(flows(inputs["values"]), 12, *rates)
        assert found == pytest.approx(vector["expected"], abs=vector["tolerance_abs"]), vector["id"]


def test_capital_budgeting_vectors_hold(data_folder: Path) -> None:
    ends = [date(2025 + n, 1, 1) for n in range(20)]
    for vector in vectors(data_folder, "CAPITAL_BUDGETING"):
        series = flows(vector["inputs"]["cash_flows"])
        discount = factors(
            D(str(vector["inputs"]["rate"])), 12, ends[: len(series)], "end_of_period"
        )
        npv, expected = present_value(series, discount), vector["expected"]
        discounted = [f * d for f, d in zip(series, discount, strict=True)]
        found: dict[str, Decimal | float | None] = {
            "npv": npv, "payback_periods": (payback(series, 12).value or D(0)) / 12,
            "discounted_payback_periods": (payback(discounted, 12).value or D(0)) / 12,
            "profitability_index": 1 + (ratio(npv, -series[0]) or 0.0),
            "irr": irr(series, 12).value,
        }  # fmt: skip
        for name, value in expected.items():
            assert float(found[name] or 0) == pytest.approx(value, abs=1e-6), (vector["id"], name)


def test_a_monthly_rate_compounds_to_the_yearly_one(data_folder: Path) -> None:
    for vector in vectors(data_folder, "EQUIV_MONTHLY_RATE"):
        found = float(monthly_rate(D(str(vector["inputs"]["annual"]))))
        assert found == pytest.approx(vector["expected"], abs=1e-15)
        assert found != pytest.approx(vector["inputs"]["annual"] / 12, abs=1e-5)


DAY = date(2025, 1, 1)


@pytest.mark.parametrize(
    ("series", "status", "roots"),
    [
        # Touching zero without crossing it is a root too: -100 + 220/(1+r) - 121/(1+r)^2.
        ([-100, 220, -121], "one", [0.1]),
        ([-100, 60, 60], "one", [0.13066]),
        ([100, -60, -60], "one", [0.13066]),
        ([-1, 0, 0, 0, 0, 1e12], "one", [250.1886]),
        ([0, 0, 0], "no_sign_change", []),
    ],
)
def test_roots_that_are_easily_missed(series: list[float], status: str, roots: list[float]) -> None:
    found = irr(flows(series), 12)
    assert found.status == status
    assert list(found.roots) == pytest.approx(roots, rel=1e-4)


@pytest.mark.parametrize("order", [lambda f: f, lambda f: f[::-1], lambda f: f[1:] + f[:1]])
def test_the_order_of_dated_flows_and_flows_of_a_day_make_no_difference(
    order: Callable[[list[tuple[date, Decimal]]], list[tuple[date, Decimal]]],
) -> None:
    series = [(DAY, D(-700)), (DAY, D(-300)), (DAY + timedelta(365), D(500)),
              (DAY + timedelta(730), D(700))]  # fmt: skip
    plain = xirr([(DAY, D(-1000)), *series[2:]])
    assert xirr(order(series)).value == plain.value == pytest.approx(0.12321, abs=1e-4)


def test_without_time_there_is_no_rate() -> None:
    assert xirr([(DAY, D(-100)), (DAY, D(110))]).status == "no_time_passes"
