"""Valuation: a large case computed, and a simulation, each beside numpy by hand."""

from __future__ import annotations

import random
import resource
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.machine import row, timed
from services.valuation.api.valuations import valuation_of
from services.valuation.domain.case import BASE, Case, CaseBody
from services.valuation.domain.lines import (
    Attribution,
    BenefitLine,
    CostLine,
    Distribution,
    Input,
    MetricChange,
    MetricValue,
)
from services.valuation.domain.measured import Measured
from services.valuation.domain.simulation import simulate
from services.valuation.domain.valuation import value

COSTS, BENEFITS, MONTHS, ELAPSED = 10, 40, 60, 30
DRAWS, QUARTERS, FACTORS, GAINS = 100_000, 40, 4, 5
TIMES = 15
MOST_MS = 20.0


def bench_valuing() -> None:
    """The rows of `quality.md` that are the valuation service's."""
    _valuation()
    _simulation()


def _valuation() -> None:
    """50 lines over 60 months, half of them over, with the metric answers at hand."""
    case, measured = _large_case()
    known: Any = SimpleNamespace(
        case=case, measured=measured, scenario=BASE, known_at=datetime.now(UTC),
        bases={"valuation": "1-0", "goals": "1-0", "metrics": "1-0"},
    )  # fmt: skip
    ours = timed(lambda: value(case, measured), TIMES) * 1_000
    peer = timed(_by_hand, TIMES) * 1_000
    name = f"valuation of {COSTS + BENEFITS} lines over {MONTHS} months, ms | numpy by hand"
    row(name, f"{ours:.1f}", f"{peer:.2f}", MOST_MS / ours, "1 (20 ms)")
    whole = timed(lambda: valuation_of(known, ()), TIMES) * 1_000
    row("the same with its parts, shown as the API does, ms", f"{whole:.1f}", f"{peer:.2f}",
        MOST_MS / whole, "printed")  # fmt: skip


def _large_case() -> tuple[Case, Measured]:
    made = random.Random(1)

    def curve(length: int) -> list[Decimal]:
        return [Decimal(made.randint(1, 1_000)) / 1_000 for _ in range(length)]

    body = CaseBody(
        initiative_id="i", name="Large", currency="EUR", start=date(2022, 1, 1), grain="month",
        periods=MONTHS, discount_rate=Decimal("0.1"), convention="end_of_period",
    )  # fmt: skip
    costs = [
        CostLine(
            cost_id=f"c{n}", name=f"Cost {n}", category="licence", risk=Decimal("0.1"),
            amounts=[Decimal(100 + n)] * (MONTHS + 1),
        )
        for n in range(COSTS)
    ]  # fmt: skip
    benefits, inputs = [], {}
    for n in range(BENEFITS):
        change = MetricChange(metric=f"m{n}", baseline_id="b")
        benefits.append(BenefitLine(
            benefit_id=f"b{n}", name=f"Benefit {n}", category="revenue", audience="business",
            template="rate-uplift", formula="change * volume * value * margin",
            inputs={
                "change": Input(metric_change=change), "margin": Input(value=Decimal("0.4")),
                "volume": Input(metric=MetricValue(key="v")), "value": Input(value=Decimal(900)),
            },
            planned={"change": Input(curve=curve(MONTHS)), "volume": Input(value=Decimal(100))},
            adoption=[Decimal(i) / 12 for i in range(1, 13)], capture=Decimal("0.8"),
            attribution=Attribution(share=Decimal("0.6"), reason="r"), risk=Decimal("0.1"),
            goal_id=None, evidence="verified", phase=f"Phase {n % 3}",
        ))  # fmt: skip
        inputs[f"b{n}"] = {"change": curve(ELAPSED), "volume": [Decimal(100)] * ELAPSED}
    case = Case(case_id="c", revision=1, body=body, costs=costs, benefits=benefits)
    return case, Measured(inputs=inputs, elapsed=ELAPSED)


def _by_hand() -> float:
    """The same arithmetic on floats: three net present values and nothing else."""
    change = np.full((BENEFITS, MONTHS), 0.5)
    gains = change * 100 * 900 * 0.4 * 0.8 * 0.6
    ramp = np.minimum(1, np.arange(1, MONTHS + 1) / 12)
    discount = 1.1 ** (-np.arange(MONTHS + 1) / 12)
    spent = np.full((COSTS, MONTHS + 1), 110.0).sum(axis=0)
    outlook = np.concatenate([gains[:, :ELAPSED], gains[:, ELAPSED:] * ramp[ELAPSED:] * 0.9], 1)
    return float(sum(
        (g.sum(axis=0) * discount[1:]).sum() - (spent * discount).sum()
        for g in (gains * ramp * 0.9, gains, outlook)
    ))  # fmt: skip


def _simulation() -> None:
    """100,000 draws of 20 inputs over 40 quarters against the bare numpy of the same model."""
    case = _uncertain_case()
    ours = timed(lambda: simulate(case, Measured(), {}, draws=DRAWS, seed=1), TIMES) * 1_000
    peer = timed(_bare, TIMES) * 1_000
    name = f"simulation, {DRAWS:,} draws x {QUARTERS} periods x {FACTORS * GAINS} inputs, ms"
    row(f"{name} | bare numpy (1.5 times at most)", f"{ours:.0f}", f"{peer:.0f}",
        1.5 * peer / ours, "1")  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row("memory of the whole run, MB | 1,000", f"{peak:.0f}", "1000", 1_000 / peak, "1")


def _uncertain_case() -> Case:
    body = CaseBody(
        initiative_id="i", name="Uncertain", currency="EUR", start=date(2022, 1, 1),
        grain="quarter", periods=QUARTERS, discount_rate=Decimal("0.1"),
        convention="end_of_period",
    )  # fmt: skip
    spread = Distribution(kind="triangular", low=Decimal("0.5"), mode=Decimal(1), high=Decimal(2))
    names = [f"f{n}" for n in range(FACTORS)]
    benefits = [
        BenefitLine(
            benefit_id=f"b{n}", name=f"Benefit {n}", category="revenue", audience="business",
            template=None, formula=" * ".join([*names, "season"]),
            inputs={name: Input(distribution=spread) for name in names}
            | {"season": Input(curve=[Decimal(1 + k % 4) for k in range(QUARTERS)])},
            planned={}, adoption=[Decimal(i) / 8 for i in range(1, 9)], capture=Decimal(1),
            attribution=Attribution(share=Decimal(1), reason="r"), risk=Decimal(0), goal_id=None,
            evidence="verified",
        )
        for n in range(GAINS)
    ]  # fmt: skip
    cost = CostLine(cost_id="c", name="c", category="other", amounts=[Decimal(100)])
    return Case(case_id="c", revision=1, body=body, costs=[cost], benefits=benefits)


def _bare() -> tuple[Any, ...]:
    """The same figures, as somebody would write them down for this one case."""
    drawn = np.random.default_rng(1)
    season = np.array([1 + k % 4 for k in range(QUARTERS)], dtype=float)
    ramp = np.minimum(1, np.arange(1, QUARTERS + 1) / 8)
    net = np.zeros((DRAWS, QUARTERS + 1))
    net[:, 0] = -100
    inputs = []
    for _ in range(GAINS):
        factors = [drawn.triangular(0.5, 1, 2, DRAWS) for _ in range(FACTORS)]
        inputs += factors
        gained = factors[0] * factors[1] * factors[2] * factors[3]
        net[:, 1:] += gained[:, None] * (season * ramp)
    npv = net @ (1.1 ** (-np.arange(QUARTERS + 1) / 4))
    paid = (np.cumsum(net, axis=1) >= 0).mean(axis=0)
    shares = [np.corrcoef(values, npv)[0, 1] ** 2 for values in inputs]
    return (
        npv.mean(),
        (npv > 0).mean(),
        np.quantile(npv, (0.05, 0.5, 0.95)),
        paid,
        shares,
        (np.histogram(npv, bins=40)),
    )
