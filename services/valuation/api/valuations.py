"""`GET /v1/cases/{id}/valuation`: a case computed, with every convention named; its findings."""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import Field

from services.valuation.api.asking import Included, ScenarioKey, Seen, seen
from services.valuation.api.figures import FiguresShown, SliceShown, figures_shown, slice_shown
from services.valuation.domain.case import BASE
from services.valuation.domain.figures import Figures, Line, sliced
from services.valuation.domain.lines import APART
from services.valuation.domain.texts import text
from services.valuation.domain.valuation import Valued, value
from shared.money import Amount, Money
from shared.money import money as to_money
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import BasisToken, InstantField, Text, Wire
from shared.words import Id

router = make_router("valuations")


class Conventions(Wire):
    """How the figures were made."""

    discounting: Literal["end_of_period", "mid_period", "exact_dates"] = Field(
        description="When flows are discounted; the start never is"
    )
    discount_rate: Amount = Field(description="Yearly rate as a fraction")
    roi: str = Field(description="`tei`: (PV benefits - PV costs) / PV costs")
    payback: str = Field(description="Linear inside a period, from the first outlay; last crossing")
    irr: str = Field(description="Per period, stated as a yearly rate")
    xirr: str = Field(description="Days / 365 from the first flow; booked costs on a period's end")
    mirr: str = Field(description="Outlays financed, returns reinvested at the case's rates")
    realised: str = Field(description="Measured change, not multiplied by adoption or risk again")
    headline: str = Field(description="What stands outside the totals")


class ValuationBasis(Wire):
    """The states of the three ledgers that the answer rests on."""

    valuation: BasisToken
    goals: str = Field(description="Basis of the goals ledger")
    metrics: str | None = Field(description="Basis of the metrics ledger; null when not asked")


class BenefitWorth(Wire):
    """What one benefit is worth by itself."""

    id: str = Field(description="Id of the line")
    name: str = Field(description="Its name")
    pv_planned: Money = Field(description="Present value as planned")
    pv_realised: Money = Field(description="Present value of what is realised so far")
    pv_outlook: Money = Field(description="Present value of the outlook")
    left_out: str | None = Field(description="Why it stands outside the totals")


class Breakdown(Wire):
    """Planned, realised and outlook of one phase or audience."""

    name: str = Field(description="Name of the phase, or the audience")
    plan: SliceShown = Field(description="As expected")
    realised: SliceShown = Field(description="As measured")
    outlook: SliceShown = Field(description="Realised so far, planned for the rest")


class ApartShown(Wire):
    """Money that stands outside the headline."""

    kind: Literal["soft_time", "unverified"] = Field(description="What it is")
    pv_planned: Money = Field(description="Present value as planned")
    pv_outlook: Money = Field(description="Present value of the outlook")


class Valuation(Wire):
    """A case computed as known at a moment."""

    case_id: Id = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    scenario: str = Field(description="The scenario; `base` is the case itself")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ValuationBasis = Field(description="What it rests on")
    periods_elapsed: int = Field(ge=0, description="Periods that are over")
    conventions: Conventions = Field(description="How the figures were made")
    plan: FiguresShown = Field(description="As expected")
    realised: FiguresShown = Field(description="As measured, over the periods that are over")
    outlook: FiguresShown = Field(description="Realised so far, planned for the rest")
    benefits: list[BenefitWorth] = Field(description="By benefit")
    by_phase: list[Breakdown] = Field(description="By phase of the initiative")
    by_audience: list[Breakdown] = Field(description="By whose value it is; benefits only")
    apart: list[ApartShown] = Field(description="What stands outside the headline")
    findings: list[Text] = Field(description="What was noticed")


class FindingsShown(Wire):
    """What was noticed of a case."""

    case_id: Id = Field(description="The case")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ValuationBasis = Field(description="What it rests on")
    findings: list[Text] = Field(description="What should be mended before anybody decides")


@router.get("/cases/{case_id}/valuation")
def value_case(
    case_id: str,
    reader: Annotated[Reader, Depends(reads("valuation:read"))],
    scenario: ScenarioKey = BASE,
    include: Included = None,
    goals_basis: Annotated[str | None, Query(max_length=64, description="Basis of goals")] = None,
    metrics_basis: Annotated[
        str | None, Query(max_length=64, description="Basis of metrics")
    ] = None,
) -> Valuation:
    """Compute a case: plan, realised and outlook, as known at any moment.

    Realised figures come from the metrics service and are never multiplied by adoption or risk
    again; booked costs replace the plan of their item and period. Unverified benefits and time
    that nobody turned into money stand apart, unless `include` says otherwise.
    """
    known = seen(reader, case_id, scenario, goals_basis, metrics_basis)
    return valuation_of(known, include or ())


@router.get("/cases/{case_id}/findings")
def list_case_findings(
    case_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))]
) -> FindingsShown:
    """List what was noticed of a case: claims without a goal, double counting, missing figures."""
    known = seen(reader, case_id)
    valued = value(known.case, known.measured)
    return FindingsShown(
        case_id=case_id, known_at=known.known_at,
        basis=ValuationBasis.model_validate(known.bases),
        findings=[Text(**text(code, **params)) for code, params in valued.findings],
    )  # fmt: skip


def valuation_of(known: Seen, included: Collection[str]) -> Valuation:
    """A case as seen, computed and shown."""
    case, measured = known.case, known.measured
    valued = value(case, measured, included)
    currency = case.body.currency
    return Valuation.model_construct(
        case_id=case.case_id, currency=currency, scenario=known.scenario, known_at=known.known_at,
        basis=ValuationBasis.model_validate(known.bases), periods_elapsed=measured.elapsed,
        conventions=_conventions(valued),
        plan=figures_shown(valued.plan, currency),
        realised=figures_shown(valued.realised, currency),
        outlook=figures_shown(valued.outlook, currency),
        benefits=_by_benefit(valued),
        by_phase=_broken_down(valued, lambda line: line.phase, currency),
        by_audience=_broken_down(valued, lambda line: line.audience, currency),
        apart=_apart(valued),
        findings=[Text(**text(code, **params)) for code, params in valued.findings],
    )  # fmt: skip


def _conventions(valued: Valued) -> Conventions:
    body = valued.frame.body
    return Conventions(
        discounting=body.convention, discount_rate=body.discount_rate, roi="tei",
        payback="linear_from_first_outlay", irr="yearly", xirr="days_365",
        mirr="finance_and_reinvest_rate", realised="measured_change_x_capture_x_attribution",
        headline="without_soft_time_and_unverified",
    )  # fmt: skip


def _present(valued: Valued, found: Figures, wanted: Callable[[Line], bool]) -> Money:
    """The present value of some lines by themselves."""
    length = len(found.rows)
    total = sum((valued.frame.present(x, length) for x in found.lines if wanted(x)), Decimal(0))
    return to_money(total, valued.frame.body.currency)


def _by_benefit(valued: Valued) -> list[BenefitWorth]:
    def worth_of(found: Figures, at: int) -> Money:
        worth = valued.frame.present(found.lines[at], len(found.rows))
        return to_money(worth, valued.frame.body.currency)

    return [
        BenefitWorth(
            id=line.line_id, name=line.name, left_out=line.left_out,
            pv_planned=worth_of(valued.plan, at), pv_realised=worth_of(valued.realised, at),
            pv_outlook=worth_of(valued.outlook, at),
        )
        for at, line in enumerate(valued.plan.lines)
        if line.kind == "benefit"
    ]  # fmt: skip


def _broken_down(
    valued: Valued, by: Callable[[Line], str | None], currency: str
) -> list[Breakdown]:
    parts = [
        sliced(found, valued.frame, by, len(found.rows))
        for found in (valued.plan, valued.realised, valued.outlook)
    ]
    return [
        Breakdown(
            name=name, plan=slice_shown(parts[0][name], currency),
            realised=slice_shown(parts[1][name], currency),
            outlook=slice_shown(parts[2][name], currency),
        )
        for name in parts[0]
    ]  # fmt: skip


def _left_out_as(kind: str) -> Callable[[Line], bool]:
    return lambda line: line.left_out == kind


def _apart(valued: Valued) -> list[ApartShown]:
    kinds = {line.left_out for line in valued.plan.lines}
    return [
        ApartShown.model_validate({
            "kind": kind,
            "pv_planned": _present(valued, valued.plan, _left_out_as(kind)),
            "pv_outlook": _present(valued, valued.outlook, _left_out_as(kind)),
        })
        for kind in APART
        if kind in kinds
    ]  # fmt: skip
