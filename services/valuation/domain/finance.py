"""Discounting and the figures of a series of flows; every convention is named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal, localcontext
from typing import Literal

import pyxirr

from services.valuation.domain.roots import DAYS_PER_YEAR

PRECISION = Context(prec=40)
Convention = Literal["end_of_period", "mid_period", "exact_dates"]


@dataclass(frozen=True, slots=True)
class Months:
    """A time to pay back, or why there is none; `first` is the first crossing of several.

    `outlay` is the place of the first outlay, from which it counts.
    """

    value: Decimal | None
    reason: str | None
    first: Decimal | None = None
    outlay: int = 0


def monthly_rate(yearly: Decimal) -> Decimal:
    """The rate per month that compounds to a yearly one: (1 + r)^(1/12) - 1."""
    with localcontext(PRECISION):
        return (1 + yearly) ** (Decimal(1) / 12) - 1


def factors(
    rate: Decimal, months: int, ends: Sequence[date], convention: Convention
) -> list[Decimal]:
    """Discount factors along the axis; `ends` are the days on which its places end.

    `end_of_period`: the start undiscounted, period k by (1 + r)^(k months / 12), as TEI studies
    do. `mid_period`: the same with k - 1/2. `exact_dates`: by days / 365, as XNPV does.
    """
    if convention == "exact_dates":
        return [factor_on(rate, ends[0], end) for end in ends]
    with localcontext(PRECISION):
        period = 1 / (1 + rate) ** (Decimal(months) / 12)
        shift = period ** Decimal("-0.5") if convention == "mid_period" else Decimal(1)
        found, reached = [Decimal(1)], shift
        for _ in ends[1:]:
            reached *= period
            found.append(reached)
        return found


def factor_on(rate: Decimal, start: date, on: date) -> Decimal:
    """The factor of a day: (1 + r)^(-days / 365); above 1 for days before the start."""
    days = (on - start).days
    with localcontext(PRECISION):
        return 1 / (1 + rate) ** (Decimal(days) / DAYS_PER_YEAR)


def present_value(flows: Sequence[Decimal], discount: Sequence[Decimal]) -> Decimal:
    """The sum of the flows, each by its factor."""
    with localcontext(PRECISION):
        return sum((f * d for f, d in zip(flows, discount, strict=True)), Decimal(0))


def mirr(
    flows: Sequence[Decimal], months: int, finance: Decimal, reinvest: Decimal
) -> float | None:
    """The yearly modified internal rate of return; None without both outlays and returns.

    Outlays are financed at one yearly rate, returns reinvested at another; per period they are
    the rates that compound to these.
    """
    part = months / 12
    paid, earned = ((1 + float(rate)) ** part - 1 for rate in (finance, reinvest))
    amounts = [float(f) for f in flows]
    if not any(a < 0 for a in amounts) or not any(a > 0 for a in amounts):
        return None
    try:
        found = pyxirr.mirr(amounts, paid, earned)
        if found is None or not math.isfinite(found):
            return None
        return float((1 + found) ** (1 / part) - 1)
    except OverflowError:
        return None


def payback_of(costs: Sequence[Decimal], gains: Sequence[Decimal], months: int) -> Months:
    """Months from the first outlay until the gains have paid for the costs.

    Where every period earns more than it costs, the costs of the first are taken to fall due as it
    begins: it has paid for itself after costs / benefits of its length.
    """
    with localcontext(PRECISION):
        found = payback([g - c for c, g in zip(costs, gains, strict=True)], months)
        spent = next((i for i, cost in enumerate(costs) if cost > 0), None)
        if found.reason != "no_investment" or spent is None:
            return found
        value = costs[spent] / gains[spent] * months if spent else Decimal(0)
        return Months(value, None, value, spent)


def payback(flows: Sequence[Decimal], months: int) -> Months:
    """Months from the first outlay until the flows have paid for themselves, linear in a period.

    What is paid back and then spent again is not paid back: the last crossing counts, and the
    first is told beside it.
    """
    with localcontext(PRECISION):
        first = next((i for i, f in enumerate(flows) if f < 0), None)
        if first is None:
            return Months(None, "no_investment")
        elapsed = max(0, first - 1)
        total, crossings = Decimal(0), []
        for index, flow in enumerate(flows):
            before, total = total, total + flow
            if before < 0 <= total:
                crossings.append((index - 1 - elapsed - before / flow) * months)
            elif index == first and total >= 0:
                crossings.append(Decimal(0))
        if total < 0 or not crossings:
            return Months(None, "not_reached", crossings[0] if crossings else None)
        return Months(crossings[-1], None, crossings[0], first)


def equivalent_annual(npv: Decimal, rate: Decimal, years: Decimal) -> Decimal | None:
    """The yearly amount over the horizon that is worth the same: NPV x r / (1 - (1 + r)^-n)."""
    with localcontext(PRECISION):
        if years <= 0:
            return None
        if rate == 0:
            return npv / years
        annuity = (1 - (1 + rate) ** -years) / rate
        return npv / annuity if annuity else None


def ratio(above: Decimal, below: Decimal) -> float | None:
    """above / below as a number, or None where nothing was invested."""
    with localcontext(PRECISION):
        return float(above / below) if below > 0 else None
