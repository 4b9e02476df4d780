"""`GET /v1/cases/{id}/valuation`: a case computed, with every convention named."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import Field

from services.valuation import queries
from services.valuation.api.cases import clients
from services.valuation.domain.case import Case
from services.valuation.domain.finance import Months, Rate
from services.valuation.domain.texts import text
from services.valuation.domain.valuation import Figures, Measured, value
from services.valuation.queries import World
from shared.money import Amount, Money, round_money
from shared.money import money as to_money
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import BasisToken, Figure, InstantField, Text, Wire
from shared.words import Id

router = make_router("valuations")


class Conventions(Wire):
    """How the figures were made."""

    discounting: Literal["end_of_period", "mid_period", "exact_dates"] = Field(
        description="When flows are discounted; the start never is"
    )
    discount_rate: Amount = Field(description="Yearly rate as a fraction")
    roi: str = Field(description="`tei`: (PV benefits - PV costs) / PV costs")
    payback: str = Field(description="Linear inside a period, from the first outlay")
    irr: str = Field(description="Per period, stated as a yearly rate")
    realised: str = Field(description="Measured change, not multiplied by adoption or risk again")


class Roi(Wire):
    """Return on investment by named definition; null without an investment."""

    tei: float | None = Field(description="(PV benefits - PV costs) / PV costs")
    undiscounted: float | None = Field(description="(benefits - costs) / costs")
    reason: str | None = Field(description="no_investment where there is none")


class Irr(Wire):
    """Internal rate of return."""

    value: float | None = Field(description="Yearly rate; null unless the status is `one`")
    status: Literal["one", "multiple", "no_root", "no_sign_change"] = Field(
        description="How many real roots there are"
    )
    roots: list[float] = Field(description="All real roots")


class Payback(Wire):
    """Months until the outlay is paid back."""

    value: Figure | None = Field(description="Months, two decimals; null with a reason")
    reason: str | None = Field(description="not_reached, no_investment")


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
    amounts: list[Amount | None] = Field(description="Per place; null where not known")
    total: Amount = Field(description="Their sum")
    variance: Amount | None = Field(
        description="Costs: actual less planned, over the periods that are over"
    )


class FiguresShown(Wire):
    """Everything computed of one series of flows."""

    npv: Money = Field(description="Net present value")
    pv_costs: Money = Field(description="Present value of the costs")
    pv_benefits: Money = Field(description="Present value of the benefits")
    roi: Roi = Field(description="Return on investment")
    irr: Irr = Field(description="Internal rate of return")
    payback_months: Payback = Field(description="From the first outlay")
    discounted_payback_months: Payback = Field(description="The same over discounted flows")
    bcr: float | None = Field(description="Benefit-cost ratio; null without costs")
    tco: Money = Field(description="Total cost of ownership, undiscounted")
    cash_flow: list[FlowRow] = Field(description="By place on the time axis")
    lines: list[FlowLine] = Field(description="By cost and benefit")


class ValuationBasis(Wire):
    """The states of the three ledgers that the answer rests on."""

    valuation: BasisToken
    goals: str = Field(description="Basis of the goals ledger")
    metrics: str | None = Field(description="Basis of the metrics ledger; null when not asked")


class Valuation(Wire):
    """A case computed as known at a moment."""

    case_id: Id = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    scenario: Literal["base"] = Field(description="The scenario")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ValuationBasis = Field(description="What it rests on")
    periods_elapsed: int = Field(ge=0, description="Periods that are over")
    conventions: Conventions = Field(description="How the figures were made")
    plan: FiguresShown = Field(description="As expected")
    realised: FiguresShown = Field(description="As measured, over the periods that are over")
    outlook: FiguresShown = Field(description="Realised so far, planned for the rest")
    findings: list[Text] = Field(description="What was noticed")


@router.get("/cases/{case_id}/valuation")
def value_case(
    case_id: str,
    reader: Annotated[Reader, Depends(reads("valuation:read"))],
    scenario: Annotated[Literal["base"], Query(description="The scenario")] = "base",
    goals_basis: Annotated[str | None, Query(max_length=64, description="Basis of goals")] = None,
    metrics_basis: Annotated[
        str | None, Query(max_length=64, description="Basis of metrics")
    ] = None,
) -> Valuation:
    """Compute a case: plan, realised and outlook, as known at any moment.

    Realised figures come from the metrics service and are never multiplied by adoption or risk
    again; booked costs replace the plan of their item and period.
    """
    goals, metrics = clients(reader)
    with reader.view() as view:
        state = queries.case(view, case_id)
        moment, basis = view.known_at, view.basis.token
    world = World(
        goals,
        metrics,
        reader.principal.credential,
        moment if reader.known_at or reader.basis else None,
        goals_basis,
        metrics_basis,
    )
    measured = queries.measure(world, state, moment.date())
    return _shown(state, measured, world, moment, basis)


def _shown(
    state: Case, measured: Measured, world: World, moment: datetime, basis: str
) -> Valuation:
    valued = value(state, measured)
    currency = state.body.currency
    findings = [*world.findings, *valued.findings]
    return Valuation(
        case_id=state.case_id,
        currency=currency,
        scenario="base",
        known_at=moment,
        basis=ValuationBasis(
            valuation=basis, goals=world.goals_basis or "", metrics=world.metrics_basis
        ),
        periods_elapsed=measured.elapsed,
        conventions=Conventions(
            discounting=state.body.convention,
            discount_rate=state.body.discount_rate,
            roi="tei",
            payback="linear_from_first_outlay",
            irr="yearly",
            realised="measured_change_x_capture_x_attribution",
        ),
        plan=_figures(valued.plan, currency),
        realised=_figures(valued.realised, currency),
        outlook=_figures(valued.outlook, currency),
        findings=[Text(**text(code, **params)) for code, params in findings],
    )


def _figures(found: Figures, currency: str) -> FiguresShown:
    def rounded(amount: Decimal) -> Decimal:
        return round_money(amount, currency)

    return FiguresShown(
        npv=to_money(found.npv, currency),
        pv_costs=to_money(found.pv_costs, currency),
        pv_benefits=to_money(found.pv_benefits, currency),
        roi=Roi(
            tei=found.roi_tei,
            undiscounted=found.roi_undiscounted,
            reason="no_investment" if found.roi_tei is None else None,
        ),
        irr=_irr(found.irr),
        payback_months=_payback(found.payback),
        discounted_payback_months=_payback(found.discounted_payback),
        bcr=found.bcr,
        tco=to_money(found.tco, currency),
        cash_flow=[
            FlowRow(
                period=row.slot.name,
                costs=rounded(row.costs),
                benefits=rounded(row.benefits),
                net=rounded(row.net),
                cumulative=rounded(row.cumulative),
                discounted=rounded(row.discounted),
            )
            for row in found.rows
        ],
        lines=[_line(line, rounded) for line in found.lines],
    )


def _line(line: Any, rounded: Any) -> FlowLine:
    known = [a for a in line.amounts if a is not None]
    return FlowLine(
        id=line.line_id,
        name=line.name,
        kind=line.kind,
        category=line.category,
        phase=line.phase,
        amounts=[None if a is None else rounded(a) for a in line.amounts],
        total=rounded(sum(known, Decimal(0))),
        variance=None if line.variance is None else rounded(line.variance),
    )


def _irr(rate: Rate) -> Irr:
    return Irr.model_validate(
        {"value": rate.value, "status": rate.status, "roots": list(rate.roots)}
    )


def _payback(found: Months) -> Payback:
    value_ = None if found.value is None else found.value.quantize(Decimal("0.01"))
    return Payback(value=value_, reason=found.reason)
