"""The figures of a series of flows: worth, return, payback, and the cost of ownership."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Literal

from services.valuation.domain.case import CaseBody
from services.valuation.domain.finance import (
    Months,
    equivalent_annual,
    factor_on,
    factors,
    mirr,
    payback_of,
    ratio,
)
from services.valuation.domain.roots import DAYS_PER_YEAR, Rate, irr, xirr
from services.valuation.domain.schedule import MONTHS, Flow, Slot

Kind = Literal["cost", "benefit"]
ZERO = Decimal(0)


@dataclass(frozen=True)
class Line:
    """A line's amounts along the axis, None where nothing is known, and when they are due.

    `left_out` says why a line stands outside the totals; `variance` is actual less planned.
    """

    line_id: str
    name: str
    kind: Kind
    category: str
    phase: str | None
    audience: str | None
    amounts: list[Decimal | None]
    slots: Sequence[Slot]
    dated: list[Flow] | None = None
    left_out: str | None = None
    variance: Decimal | None = None

    @property
    def flows(self) -> list[Flow]:
        """Its amounts on their days: what has no day of its own is due on its place's last."""
        if self.dated is not None:
            return self.dated
        return [
            Flow(slot.index, slot.end, amount)
            for slot, amount in zip(self.slots, self.amounts, strict=True)
            if amount is not None
        ]


@dataclass(frozen=True)
class Frame:
    """The axis and conventions that all figures of a case share."""

    body: CaseBody
    slots: Sequence[Slot]
    go_live: date | None
    _factors: dict[date, Decimal] = field(default_factory=dict)

    @cached_property
    def places(self) -> list[Decimal]:
        """The discount factor of each place of the axis."""
        ends = [slot.end for slot in self.slots]
        body = self.body
        return factors(body.discount_rate, MONTHS[body.grain], ends, body.convention)

    def factor(self, flow: Flow) -> Decimal:
        """The discount factor of a flow by the case's convention."""
        if self.body.convention != "exact_dates":
            return self.places[flow.slot]
        if flow.on not in self._factors:
            self._factors[flow.on] = factor_on(self.body.discount_rate, self.body.start, flow.on)
        return self._factors[flow.on]

    def present(self, line: Line, length: int) -> Decimal:
        """The present value of a line over the first places of the axis."""
        if self.body.convention == "exact_dates":
            flows = [flow for flow in line.flows if flow.slot < length]
            return sum((flow.amount * self.factor(flow) for flow in flows), ZERO)
        pairs = zip(line.amounts[:length], self.places, strict=False)
        return sum((amount * factor for amount, factor in pairs if amount), ZERO)


@dataclass(frozen=True)
class Row:
    """A place on the axis with its sums."""

    slot: Slot
    costs: Decimal
    benefits: Decimal
    cumulative: Decimal
    discounted: Decimal

    @property
    def net(self) -> Decimal:
        return self.benefits - self.costs


@dataclass(frozen=True)
class Ownership:
    """Total cost of ownership, undiscounted: in all, by year, by category and per user."""

    total: Decimal
    present: Decimal
    by_year: dict[int, Decimal]
    by_category: dict[str, Decimal]
    per_user: Decimal | None


@dataclass(frozen=True)
class Figures:
    """Everything computed of one series of flows."""

    npv: Decimal
    pv_costs: Decimal
    pv_benefits: Decimal
    roi_tei: float | None
    roi_undiscounted: float | None
    irr: Rate
    xirr: Rate
    mirr: float | None
    payback: Months
    discounted_payback: Months
    from_go_live: Months
    discounted_from_go_live: Months
    bcr: float | None
    profitability: float | None
    annual: Decimal | None
    first_benefit: Slot | None
    tco: Ownership
    rows: list[Row]
    lines: list[Line]


def figures(lines: Sequence[Line], frame: Frame, length: int) -> Figures:
    """Compute all figures of lines over the first places of the axis."""
    axis = frame.slots[:length]
    counted = [line for line in lines if line.left_out is None]
    spent, pv_costs = _sums([c for c in counted if c.kind == "cost"], frame, length)
    gained, pv_benefits = _sums([b for b in counted if b.kind == "benefit"], frame, length)
    rows, total = [], ZERO
    for index, slot in enumerate(axis):
        total += gained[index] - spent[index]
        discounted = pv_benefits[index] - pv_costs[index]
        rows.append(Row(slot, spent[index], gained[index], total, discounted))
    net = [row.net for row in rows]
    worth, cost = sum(pv_benefits, ZERO), sum(pv_costs, ZERO)
    months, body = MONTHS[frame.body.grain], frame.body
    plain, discounted_back = (
        payback_of(spent, gained, months), payback_of(pv_costs, pv_benefits, months),
    )  # fmt: skip
    outlay = _outlay(frame, counted, length)
    return Figures(
        npv=worth - cost, pv_costs=cost, pv_benefits=worth,
        roi_tei=ratio(worth - cost, cost),
        roi_undiscounted=ratio(sum(net, ZERO), sum(spent, ZERO)),
        irr=irr(net, months),
        xirr=xirr(_dated(counted, rows)),
        mirr=mirr(
            net, months,
            body.discount_rate if body.finance_rate is None else body.finance_rate,
            body.discount_rate if body.reinvest_rate is None else body.reinvest_rate,
        ),
        payback=plain, discounted_payback=discounted_back,
        from_go_live=_from_go_live(frame, plain),
        discounted_from_go_live=_from_go_live(frame, discounted_back),
        bcr=ratio(worth, cost),
        profitability=_profitability(worth - cost, outlay),
        annual=equivalent_annual(
            worth - cost, body.discount_rate, Decimal((length - 1) * months) / 12
        ),
        first_benefit=next((row.slot for row in rows if row.benefits > 0), None),
        tco=_ownership(frame, counted, length, cost),
        rows=rows, lines=list(lines),
    )  # fmt: skip


def _sums(lines: Sequence[Line], frame: Frame, length: int) -> tuple[list[Decimal], list[Decimal]]:
    """The sums per place of the axis, plain and discounted."""
    amounts = [line.amounts[:length] for line in lines]
    plain = [sum(filter(None, place), ZERO) for place in zip(*amounts, strict=True)]
    plain = plain or [ZERO] * length
    if frame.body.convention != "exact_dates":
        return plain, [p * f for p, f in zip(plain, frame.places, strict=False)]
    discounted = [ZERO] * length
    for line in lines:
        for flow in line.flows:
            if flow.slot < length:
                discounted[flow.slot] += flow.amount * frame.factor(flow)
    return plain, discounted


def _dated(lines: Sequence[Line], rows: Sequence[Row]) -> list[tuple[date, Decimal]]:
    """Costs on their days, and benefits on the last day of each period."""
    gained = [(row.slot.end, row.benefits) for row in rows if row.benefits]
    return gained + [
        (flow.on, -flow.amount)
        for line in lines
        if line.kind == "cost"
        for flow in line.flows
        if flow.slot < len(rows) and flow.amount
    ]


def _outlay(frame: Frame, lines: Sequence[Line], length: int) -> Decimal:
    """The initial investment: what is spent at the start."""
    return sum(
        (f.amount for line in lines if line.kind == "cost" for f in line.flows if f.slot == 0), ZERO
    )


def _profitability(npv: Decimal, outlay: Decimal) -> float | None:
    """1 + NPV / initial investment; None without one."""
    share = ratio(npv, outlay)
    return None if share is None else 1 + share


def _from_go_live(frame: Frame, plain: Months) -> Months:
    """The same crossing, counted from the first day of use."""
    if frame.go_live is None:
        return Months(None, "no_go_live")
    if plain.value is None:
        return plain
    elapsed = max(0, plain.outlay - 1) * MONTHS[frame.body.grain]
    before = Decimal((frame.go_live - frame.body.start).days) * 12 / DAYS_PER_YEAR
    return Months(plain.value + elapsed - before, None)


def _ownership(frame: Frame, lines: Sequence[Line], length: int, present: Decimal) -> Ownership:
    by_year: dict[int, Decimal] = {}
    by_category: dict[str, Decimal] = {}
    months = MONTHS[frame.body.grain]
    for line in lines:
        if line.kind != "cost":
            continue
        for flow in line.flows:
            if flow.slot < length:
                year = 0 if flow.slot == 0 else (flow.slot - 1) * months // 12 + 1
                by_year[year] = by_year.get(year, ZERO) + flow.amount
                spent = by_category.get(line.category, ZERO)
                by_category[line.category] = spent + flow.amount
    total = sum(by_category.values(), ZERO)
    users = frame.body.users
    per_user = total / users if users else None
    return Ownership(total, present, dict(sorted(by_year.items())), by_category, per_user)


def sliced(
    found: Figures, frame: Frame, by: Callable[[Line], str | None], length: int
) -> dict[str, Figures]:
    """The same figures of each group of lines; lines of no group stand in none."""
    groups: dict[str, list[Line]] = {}
    for line in found.lines:
        name = by(line)
        if name is not None:
            groups.setdefault(name, []).append(line)
    return {name: figures(lines, frame, length) for name, lines in sorted(groups.items())}
