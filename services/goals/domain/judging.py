"""Verdicts: what a figure or a delivery says of what was promised."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from services.goals.domain.goal import (
    Commitment,
    Delivery,
    DeliveryPromise,
    FrozenBaseline,
    Verdict,
)


def judge(commitment: Commitment, value: Decimal) -> Verdict:
    """The verdict on a figure: reached, better beyond noise, unchanged, or worse beyond noise.

    Noise is what lies within the natural limits of the baseline, or within its mean moving range
    where there are too few periods for limits.
    """
    band = commitment.target.band
    if band is not None and band[0] <= value <= band[1]:
        return "achieved"
    baseline, target = commitment.baseline.value, commitment.target_value
    rises = should_rise(commitment)
    held = value >= baseline if rises else value <= baseline
    if target is not None and (held if target == baseline else reached(value, target, baseline)):
        return "achieved"
    better = value > baseline if rises else value < baseline
    if band is not None:
        better = _distance(value, band) < _distance(baseline, band)
    if value == baseline or not beyond_noise(commitment.baseline, value):
        return "unchanged"
    return "improved" if better else "worsened"


def _distance(value: Decimal, band: tuple[Decimal, Decimal]) -> Decimal:
    return max(band[0] - value, value - band[1], Decimal(0))


def reached(value: Decimal, target: Decimal, baseline: Decimal) -> bool:
    """Whether a figure is at the target or past it, seen from the baseline."""
    return value >= target if target >= baseline else value <= target


def moved_right_way(commitment: Commitment, value: Decimal) -> bool:
    """Whether a figure lies on the good side of the baseline, be it within noise."""
    baseline, band = commitment.baseline.value, commitment.target.band
    if band is not None:
        return _distance(value, band) == 0 or _distance(value, band) < _distance(baseline, band)
    return value > baseline if should_rise(commitment) else value < baseline


def should_rise(commitment: Commitment) -> bool:
    """What is better: as the metric says, else as the first look at target and baseline tells."""
    if commitment.direction in ("up", "down"):
        return commitment.direction == "up"
    if commitment.target_value is not None and commitment.target_value != commitment.baseline.value:
        return commitment.target_value > commitment.baseline.value
    return True


def beyond_noise(baseline: FrozenBaseline, value: Decimal) -> bool:
    """Whether a figure lies outside what the baseline varies by itself."""
    if baseline.lower is not None and baseline.upper is not None:
        return not baseline.lower <= value <= baseline.upper
    return abs(value - baseline.value) > (baseline.spread or 0)


def judge_delivery(promise: DeliveryPromise, on: date, spent: Decimal | None) -> Delivery:
    """The verdict on a delivery: on time or late, within budget or over it.

    Where nobody can say what was spent, the budget says nothing.
    """
    late = on > promise.due
    over = spent is not None and promise.budget is not None and spent > promise.budget
    if late and over:
        return "late_and_over_budget"
    return "late" if late else "over_budget" if over else "delivered"
