"""Which periods lie before a go-live and which after it, and what is more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

from services.valuation.domain.case import CaseBody
from services.valuation.domain.lines import BenefitLine
from services.valuation.domain.schedule import MONTHS, period_name, slots_of
from shared.periods import add_months

# Indicators that are asked for where the case's benefits do not name others.
DEFAULT_KEYS = ("cac", "cltv-simple", "lead-conversion", "csat")
_BEFORE = 4
# Natural limits of an XmR chart: mean plus and minus 2.66 mean moving ranges (Wheeler).
_XMR, _FEWEST = Decimal("2.66"), 4


@dataclass(frozen=True)
class Span:
    """The periods before, those of the ramp-up, and those after; each also as one span."""

    before: tuple[str, ...]
    before_whole: str
    ramp: tuple[str, ...]
    after: tuple[str, ...]
    after_whole: str | None


def after_span(body: CaseBody, go_live: date | None, ramp: int, today: date) -> Span:
    """The four periods that were over at the go-live, the ramp-up, and the case's periods since.

    Without a go-live the case's start divides.
    """
    months, live = MONTHS[body.grain], go_live or body.start
    since = [slot for slot in slots_of(body)[1:] if slot.start >= live and slot.end <= today]
    first = next((s.start for s in slots_of(body)[1:] if s.start <= live < s.end), live)
    before = [
        (add_months(first, -n * months), add_months(first, -(n - 1) * months))
        for n in range(_BEFORE, 0, -1)
    ]
    left, kept = since[:ramp], since[ramp:]
    return Span(
        before=tuple(period_name(*p, body.grain) for p in before),
        before_whole=f"{before[0][0]}..{before[-1][1]}",
        ramp=tuple(slot.name for slot in left),
        after=tuple(slot.name for slot in kept),
        after_whole=f"{kept[0].start}..{kept[-1].end}" if kept else None,
    )


def ramp_up(line: BenefitLine) -> int:
    """The number of periods until adoption is complete."""
    full = max(line.adoption)
    return next(n for n, share in enumerate(line.adoption) if share == full)


def limits(values: Sequence[Decimal]) -> tuple[Decimal, Decimal] | None:
    """The natural limits of values in order; None below four."""
    if len(values) < _FEWEST:
        return None
    mean = sum(values, Decimal(0)) / len(values)
    moves = [abs(b - a) for a, b in pairwise(values)]
    width = _XMR * sum(moves, Decimal(0)) / len(moves)
    return mean - width, mean + width
