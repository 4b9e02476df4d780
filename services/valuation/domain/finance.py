"""Discounting and the figures of a series of flows; every convention is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal, localcontext

import pyxirr

from services.valuation.domain.case import Convention

PRECISION = Context(prec=40)
DAYS_PER_YEAR = 365
# Rates between which real roots are looked for: losing nearly all, to a thousandfold a period.
_LOWEST, _HIGHEST, _STEPS = -0.9999, 1_000.0, 4_000
_ROOT_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Rate:
    """An internal rate of return, or why there is none."""

    value: float | None
    status: str
    roots: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Months:
    """A time to pay back, or why there is none."""

    value: Decimal | None
    reason: str | None


def factors(
    rate: Decimal, months: int, ends: Sequence[date], convention: Convention
) -> list[Decimal]:
    """Discount factors along the axis; `ends` are the days on which its places end.

    `end_of_period`: the start undiscounted, period k by (1 + r)^(k months / 12), as TEI studies
    do. `mid_period`: the same with k - 1/2. `exact_dates`: by days / 365, as XNPV does.
    """
    with localcontext(PRECISION):
        found = []
        for index, end in enumerate(ends):
            if convention == "exact_dates":
                years = Decimal((end - ends[0]).days) / DAYS_PER_YEAR
            else:
                half = Decimal("0.5") if convention == "mid_period" and index else Decimal(0)
                years = (index - half) * months / 12
            found.append(1 / (1 + rate) ** years)
        return found


def present_value(flows: Sequence[Decimal], discount: Sequence[Decimal]) -> Decimal:
    """The sum of the flows, each by its factor."""
    with localcontext(PRECISION):
        return sum((f * d for f, d in zip(flows, discount, strict=True)), Decimal(0))


def irr(flows: Sequence[Decimal], months: int) -> Rate:
    """The yearly internal rate of return of flows at equal distances.

    No change of sign has no rate; several real roots are all reported, since none of them is the
    rate. A single root is pyxirr's, checked against the scan that found it.
    """
    amounts = [float(f) for f in flows]
    signs = [a > 0 for a in amounts if a != 0]
    if len(set(signs)) < 2:
        return Rate(None, "no_sign_change")
    roots = _roots(amounts)
    if not roots:
        return Rate(None, "no_root")
    yearly = tuple((1 + root) ** (12 / months) - 1 for root in roots)
    if len(roots) > 1:
        return Rate(None, "multiple", yearly)
    exact = pyxirr.irr(amounts, guess=roots[0])
    if exact is not None and abs(exact - roots[0]) < 1e-6:
        yearly = ((1 + exact) ** (12 / months) - 1,)
    return Rate(yearly[0], "one", yearly)


def _roots(amounts: Sequence[float]) -> list[float]:
    def value(rate: float) -> float:
        total = 0.0
        for amount in reversed(amounts):
            total = total / (1 + rate) + amount
        return total

    found: list[float] = []
    before_rate, before = _LOWEST, value(_LOWEST)
    for step in range(1, _STEPS + 1):
        # Even steps in log(1 + rate), so that small rates are looked at closely.
        share = step / _STEPS
        rate = (1 + _LOWEST) * ((1 + _HIGHEST) / (1 + _LOWEST)) ** share - 1
        now = value(rate)
        if now == 0 or (before < 0) != (now < 0):
            root = rate if now == 0 else _bisect(value, before_rate, rate)
            if not found or abs(root - found[-1]) > 1e-9:
                found.append(root)
        before_rate, before = rate, now
    return found


def _bisect(value: Callable[[float], float], low: float, high: float) -> float:
    low_is_negative = value(low) < 0
    while high - low > _ROOT_TOLERANCE * max(1.0, abs(low)):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if (value(middle) < 0) == low_is_negative:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def payback(flows: Sequence[Decimal], months: int) -> Months:
    """Months from the first outlay until the flows have paid for themselves, linear in a period."""
    with localcontext(PRECISION):
        first = next((i for i, f in enumerate(flows) if f < 0), None)
        if first is None:
            return Months(None, "no_investment")
        total = Decimal(0)
        elapsed = max(0, first - 1)
        for index, flow in enumerate(flows):
            before, total = total, total + flow
            if index > first and before < 0 <= total:
                inside = -before / flow
                return Months((index - 1 - elapsed + inside) * months, None)
        if total >= 0 and flows[first] + sum(flows[:first], Decimal(0)) >= 0:
            return Months(Decimal(0), None)
        return Months(None, "not_reached")


def ratio(above: Decimal, below: Decimal) -> float | None:
    """above / below as a number, or None where nothing was invested."""
    with localcontext(PRECISION):
        return float(above / below) if below else None
