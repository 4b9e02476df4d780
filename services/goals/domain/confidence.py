"""What people believe of a goal beside what its figures say, and how well they believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

# What the figures alone would make one believe.
_BELIEVED = {
    "reached": Decimal("1"), "on_track": Decimal("0.8"), "at_risk": Decimal("0.5"),
    "off_track": Decimal("0.2"),
}  # fmt: skip
# From so far apart on, view and figures contradict each other.
MUCH = Decimal("0.4")
_EDGES = tuple(Decimal(n) / 5 for n in range(6))


def differs(confidence: Decimal, status: str) -> bool:
    """Whether a view contradicts what the figures say; no figures contradict nothing."""
    believed = _BELIEVED.get(status)
    return believed is not None and abs(confidence - believed) > MUCH


@dataclass(frozen=True)
class Bucket:
    """Views of about the same confidence, and how many of their goals were achieved."""

    low: Decimal
    high: Decimal
    views: int
    confidence: Decimal
    achieved: Decimal


def calibration(told: Iterable[tuple[Decimal, bool]]) -> tuple[list[Bucket], Decimal | None]:
    """How views turned out, in fifths of confidence; and their Brier score.

    The score is the mean of (confidence - outcome) squared: 0 is perfect, 0.25 is guessing at even
    odds (Brier 1950). None where nothing has turned out yet.
    """
    views = list(told)
    if not views:
        return [], None
    found = []
    for low, high in pairwise(_EDGES):
        inside = [v for v in views if low <= v[0] < high or (high == 1 and v[0] == 1)]
        if inside:
            count = Decimal(len(inside))
            mean = sum((confidence for confidence, _ in inside), Decimal(0)) / count
            achieved = Decimal(sum(outcome for _, outcome in inside)) / count
            found.append(Bucket(low, high, len(inside), mean, achieved))
    errors = [(confidence - (1 if outcome else 0)) ** 2 for confidence, outcome in views]
    return found, sum(errors, Decimal(0)) / len(errors)
