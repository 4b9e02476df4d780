"""Progress of a goal: how much of the way is done, how much was expected, and what that means."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from services.goals.domain.goal import Commitment
from services.goals.domain.judging import reached
from services.goals.domain.texts import text

Status = Literal["not_started", "no_data", "stale", "on_track", "at_risk", "off_track", "reached"]
# Behind by up to a quarter of the whole way is a risk; by more it is off track.
AT_RISK_MARGIN = Decimal("0.25")


@dataclass(frozen=True)
class Point:
    """A figure expected at a day."""

    day: date
    value: Decimal


@dataclass(frozen=True)
class Reading:
    """Where a goal stands."""

    status: Status
    fraction: Decimal | None
    expected_fraction: Decimal | None
    because: list[dict[str, Any]]

    @classmethod
    def without(cls, period: str, reason: str | None) -> Reading:
        """A reading of a period that has no figure, and why."""
        said = text("no_current_value", period=period, reason=reason)
        return cls("no_data", None, None, [said])


def read(
    commitment: Commitment,
    period: str,
    period_end: date,
    value: Decimal | None,
    reason: str | None,
    way: Sequence[Point],
) -> Reading:
    """Where a committed goal stands by the figure of a period.

    `way` goes from the baseline over the milestones to the target, in order of days.
    """
    if value is None:
        return Reading.without(period, reason)
    shown = {"value": _short(value), "period": period}
    band, target = commitment.target.band, commitment.target_value
    if band is not None:
        inside = band[0] <= value <= band[1]
        code: str = "in_band" if inside else "out_of_band"
        return Reading("on_track" if inside else "off_track", None, None, [text(code, **shown)])
    baseline = commitment.baseline.value
    if target is None or target == baseline:
        return Reading("no_data", None, None, [text("no_change")])
    fraction = (value - baseline) / (target - baseline)
    expected = (expected_value(way, period_end) - baseline) / (target - baseline)
    if reached(value, target, baseline):
        because = text("target_reached", **shown, target=_short(target))
        return Reading("reached", fraction, expected, [because])
    if fraction < 0:
        because = text("wrong_way", **shown, baseline=_short(baseline))
        return Reading("off_track", fraction, expected, [because])
    figures = {"fraction": _percent(fraction), "expected": _percent(expected), "period": period}
    if fraction >= expected:
        return Reading("on_track", fraction, expected, [text("ahead", **figures)])
    status: Status = "at_risk" if expected - fraction <= AT_RISK_MARGIN else "off_track"
    return Reading(status, fraction, expected, [text("behind", **figures)])


def expected_value(way: Sequence[Point], day: date) -> Decimal:
    """The figure expected at a day: straight lines between the points of the way."""
    if day <= way[0].day:
        return way[0].value
    for before, after in itertools.pairwise(way):
        if day <= after.day:
            share = Decimal((day - before.day).days) / max(1, (after.day - before.day).days)
            return before.value + (after.value - before.value) * share
    return way[-1].value


def _short(value: Decimal) -> str:
    return format(value.quantize(Decimal("0.0001")).normalize(), "f")


def _percent(value: Decimal) -> str:
    return f"{value * 100:.0f} %"
