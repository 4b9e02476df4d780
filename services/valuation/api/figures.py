"""Wire shapes of figures: worth, return, payback, cost of ownership, and the flows behind them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import Field

from services.valuation.domain.figures import Figures, Line, Ownership
from services.valuation.domain.finance import Months
from services.valuation.domain.roots import Rate
from shared.money import Amount, Money, round_money
from shared.money import money as to_money
from shared.web.wire import Figure, Wire


class Roi(Wire):
    """Return on investment by named definition; null without an investment."""

    tei: float | None = Field(description="(PV benefits - PV costs) / PV costs")
    undiscounted: float | None = Field(description="(benefits - costs) / costs")
    reason: str | None = Field(description="no_investment where there is none")


class Irr(Wire):
    """Internal rate of return."""

    value: float | None = Field(description="Yearly rate; null unless the status is `one`")
    status: Literal[
        "one", "multiple", "no_root", "no_sign_change", "out_of_range", "no_time_passes"
    ] = Field(description="How many real roots there are, or why there is none")
    roots: list[float] = Field(description="All real roots")


class Mirr(Wire):
    """Modified internal rate of return."""

    value: float | None = Field(description="Yearly rate; null with a reason")
    reason: str | None = Field(description="no_sign_change where outlays or returns are missing")


class Payback(Wire):
    """Months until the outlay is paid back; of several crossings the last one counts."""

    value: Figure | None = Field(description="Months, two decimals; null with a reason")
    reason: str | None = Field(description="not_reached, no_investment, no_go_live")
    first_crossing: Figure | None = Field(
        None, description="Months until it was paid back for the first time"
    )


class Share(Wire):
    """A ratio, or why there is none."""

    value: float | None = Field(description="The ratio; null with a reason")
    reason: str | None = Field(description="no_investment where there is nothing to divide by")


class FirstBenefit(Wire):
    """The first period that brings more than nothing."""

    period: str = Field(description="Name of the period")
    by: date = Field(description="Its last day")


class YearCost(Wire):
    """What a year costs."""

    year: int = Field(description="Year of the case; 0 is the start")
    amount: Amount = Field(description="Undiscounted")


class CategoryCost(Wire):
    """What a category costs."""

    category: str = Field(description="Kind of cost")
    amount: Amount = Field(description="Undiscounted")


class OwnershipShown(Wire):
    """Total cost of ownership in its parts."""

    total: Amount = Field(description="Undiscounted, over the whole horizon")
    present_value: Amount = Field(description="Discounted")
    by_year: list[YearCost] = Field(description="By year of the case")
    by_category: list[CategoryCost] = Field(description="By category")
    per_user: Amount | None = Field(description="By user; null where the users are not stated")
    per_user_reason: str | None = Field(description="users_not_stated")


class FlowRow(Wire):
    """A place on the time axis."""

    period: str = Field(description="Name of the period; `initial` for the start")
    costs: Amount = Field(description="Costs")
    benefits: Amount = Field(description="Benefits")
    net: Amount = Field(description="Benefits less costs")
    cumulative: Amount = Field(description="Sum of the net up to here")
    discounted: Amount = Field(description="Net, discounted")


class FlowLine(Wire):
    """A cost or benefit along the time axis."""

    id: str = Field(description="Id of the line")
    name: str = Field(description="Its name")
    kind: Literal["cost", "benefit"] = Field(description="Which of the two")
    category: str = Field(description="Its category")
    phase: str | None = Field(description="Its phase")
    audience: str | None = Field(None, description="Of a benefit: whose value it is")
    amounts: list[Amount | None] = Field(description="Per place; null where not known")
    total: Amount = Field(description="Their sum")
    variance: Amount | None = Field(
        description="Costs: actual less planned, over the periods that are over"
    )
    left_out: str | None = Field(
        None,
        description="Why it stands outside the totals: soft_time, unverified, overlap, withdrawn, "
        "non_financial",
    )


class SliceShown(Wire):
    """The figures of a series of flows, without the flows."""

    npv: Money = Field(description="Net present value")
    pv_costs: Money = Field(description="Present value of the costs")
    pv_benefits: Money = Field(description="Present value of the benefits")
    roi: Roi = Field(description="Return on investment")
    irr: Irr = Field(description="Internal rate of return of the periods' flows, yearly")
    xirr: Irr = Field(description="Internal rate of return of the dated flows (days / 365)")
    mirr: Mirr = Field(description="Modified internal rate of return")
    payback_months: Payback = Field(description="From the first outlay")
    discounted_payback_months: Payback = Field(description="The same over discounted flows")
    payback_from_go_live_months: Payback = Field(description="From the initiative's go-live")
    discounted_payback_from_go_live_months: Payback = Field(description="The same, discounted")
    bcr: float | None = Field(description="Benefit-cost ratio; null without costs")
    profitability_index: Share = Field(description="1 + NPV / initial investment")
    equivalent_annual_value: Money | None = Field(
        description="The same every year over the horizon; null where no period is over"
    )
    first_benefit: FirstBenefit | None = Field(description="Null where nothing is gained")
    tco: Money = Field(description="Total cost of ownership, undiscounted")


class FiguresShown(SliceShown):
    """Everything computed of one series of flows."""

    ownership: OwnershipShown = Field(description="The cost of ownership in its parts")
    cash_flow: list[FlowRow] = Field(description="By place on the time axis")
    lines: list[FlowLine] = Field(description="By cost and benefit")


def slice_shown(found: Figures, currency: str) -> SliceShown:
    """Figures as the API shows them, without the flows."""
    none = "no_investment" if found.roi_tei is None else None
    first = found.first_benefit
    return SliceShown(
        npv=to_money(found.npv, currency),
        pv_costs=to_money(found.pv_costs, currency),
        pv_benefits=to_money(found.pv_benefits, currency),
        roi=Roi(tei=found.roi_tei, undiscounted=found.roi_undiscounted, reason=none),
        irr=_irr(found.irr),
        xirr=_irr(found.xirr),
        mirr=Mirr(value=found.mirr, reason="no_sign_change" if found.mirr is None else None),
        payback_months=_payback(found.payback),
        discounted_payback_months=_payback(found.discounted_payback),
        payback_from_go_live_months=_payback(found.from_go_live),
        discounted_payback_from_go_live_months=_payback(found.discounted_from_go_live),
        bcr=found.bcr,
        profitability_index=Share(
            value=found.profitability,
            reason="no_investment" if found.profitability is None else None,
        ),
        equivalent_annual_value=None if found.annual is None else to_money(found.annual, currency),
        first_benefit=FirstBenefit(period=first.name, by=first.end - timedelta(days=1))
        if first
        else None,
        tco=to_money(found.tco.total, currency),
    )


def figures_shown(found: Figures, currency: str) -> FiguresShown:
    """Figures as the API shows them, with every flow.

    They are our own and need no validation, which would take as long as computing them.
    """
    rows = [
        FlowRow.model_construct(
            period=row.slot.name, costs=round_money(row.costs, currency),
            benefits=round_money(row.benefits, currency), net=round_money(row.net, currency),
            cumulative=round_money(row.cumulative, currency),
            discounted=round_money(row.discounted, currency),
        )
        for row in found.rows
    ]  # fmt: skip
    lines = [_line(line, len(rows), currency) for line in found.lines]
    return FiguresShown.model_construct(
        **dict(slice_shown(found, currency)),
        ownership=_ownership(found.tco, currency), cash_flow=rows, lines=lines,
    )  # fmt: skip


def _line(line: Line, length: int, currency: str) -> FlowLine:
    amounts = line.amounts[:length]
    known = [a for a in amounts if a is not None]
    return FlowLine.model_construct(
        id=line.line_id, name=line.name, kind=line.kind, category=line.category, phase=line.phase,
        audience=line.audience,
        amounts=[None if a is None else round_money(a, currency) for a in amounts],
        total=round_money(sum(known, Decimal(0)), currency),
        variance=None if line.variance is None else round_money(line.variance, currency),
        left_out=line.left_out,
    )  # fmt: skip


def _ownership(found: Ownership, currency: str) -> OwnershipShown:
    return OwnershipShown(
        total=round_money(found.total, currency),
        present_value=round_money(found.present, currency),
        by_year=[
            YearCost(year=year, amount=round_money(amount, currency))
            for year, amount in found.by_year.items()
        ],
        by_category=[
            CategoryCost(category=category, amount=round_money(amount, currency))
            for category, amount in sorted(found.by_category.items())
        ],
        per_user=None if found.per_user is None else round_money(found.per_user, currency),
        per_user_reason="users_not_stated" if found.per_user is None else None,
    )


def _irr(rate: Rate) -> Irr:
    return Irr(value=rate.value, status=rate.status, roots=list(rate.roots))


def _payback(found: Months) -> Payback:
    return Payback(value=_months(found.value), reason=found.reason,
                   first_crossing=_months(found.first))  # fmt: skip


def _months(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(Decimal("0.01"))
