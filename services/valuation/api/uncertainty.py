"""How sure a case is: tornado and switching values, simulation, break-even, and what risks cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from services.valuation.api.asking import Included, ScenarioKey, Seen, seen, world_now
from services.valuation.api.building import distribution
from services.valuation.api.figures import Payback, slice_shown
from services.valuation.api.inputs import DistributionBody
from services.valuation.api.valuations import ValuationBasis
from services.valuation.domain.assumptions import assumptions, by_identity
from services.valuation.domain.breakeven import Units, units
from services.valuation.domain.case import BASE, Case
from services.valuation.domain.lines import Distribution
from services.valuation.domain.obstacles import Worth, obstacle_worths
from services.valuation.domain.sensitivity import Swing, tornado
from services.valuation.domain.simulation import Simulated, simulate
from services.valuation.domain.valuation import Valuing, value
from shared.errors import invalid
from shared.ids import did_you_mean
from shared.money import Amount, DecimalString, round_money
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import Figure, Wire
from shared.words import Id

router = make_router("uncertainty")
MAX_DRAWS = 1_000_000
# What is drawn is held in memory: 160 MB.
MAX_FIGURES = 20_000_000


class SwingShown(Wire):
    """An assumption moved down and up."""

    assumption: str = Field(description="Its address")
    label: str = Field(description="Its words")
    figure: Figure = Field(description="As stated; 1 where it is moved by a factor")
    relative: bool = Field(description="True where it is moved by a factor")
    low: Figure = Field(description="Moved down to")
    high: Figure = Field(description="Moved up to")
    npv_low: Amount = Field(description="Net present value when it is low")
    npv_high: Amount = Field(description="Net present value when it is high")
    switching: Figure | None = Field(
        description="Where the net present value is 0; null where it is 0 nowhere within reach"
    )
    reason: str | None = Field(description="no_switch where it turns nowhere within reach")


class Sensitivity(Wire):
    """What the planned net present value hangs on, the widest swing first."""

    case_id: Id = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    scenario: str = Field(description="Scenario")
    basis: ValuationBasis = Field(description="What it rests on")
    npv: Amount = Field(description="Net present value as stated")
    swings: list[SwingShown] = Field(description="The tornado")


class UncertainBody(Wire):
    """An assumption and how it is spread; for a curve or an amount of costs, a factor's spread."""

    of: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="Address of the assumption, as in scenarios"
    )
    distribution: DistributionBody = Field(description="How it is spread")


class SimulationAsked(Wire):
    """A simulation to be run; inputs with a distribution of their own are drawn from that."""

    draws: Annotated[int, Field(strict=True, ge=100, le=MAX_DRAWS)] = Field(
        10_000, description="Number of draws"
    )
    seed: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)] = Field(
        1, description="The same seed gives the same figures"
    )
    scenario: Annotated[str, Field(max_length=64)] = Field(BASE, description="Scenario")
    uncertain: Annotated[list[UncertainBody], Field(max_length=100)] = Field(
        default_factory=list, description="Further assumptions that are not sure"
    )


class Quantile(Wire):
    """A value that the given share of draws lies below."""

    share: float = Field(description="From 0 to 1")
    npv: float = Field(description="Net present value")


class Bin(Wire):
    """A bar of the histogram."""

    low: float = Field(description="From")
    high: float = Field(description="To")
    draws: int = Field(description="Draws in it")


class PaidBack(Wire):
    """How likely it is that the case has paid back by then, for good."""

    period: str = Field(description="By the end of this period")
    probability: float = Field(description="From 0 to 1")


class VarianceShare(Wire):
    """What part of the spread is owed to one assumption."""

    assumption: str = Field(description="Its address")
    label: str = Field(description="Its words")
    share: float = Field(description="Squared correlation with the net present value")


class SimulationShown(Wire):
    """The distribution of the planned net present value."""

    case_id: Id = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    scenario: str = Field(description="Scenario")
    basis: ValuationBasis = Field(description="What it rests on")
    draws: int = Field(description="Number of draws")
    seed: int = Field(description="Seed")
    mean: float = Field(description="Mean")
    sd: float = Field(description="Standard deviation")
    p_npv_positive: float = Field(description="P(NPV > 0)")
    quantiles: list[Quantile] = Field(description="Quantiles")
    payback: list[PaidBack] = Field(description="P(payback <= n)")
    histogram: list[Bin] = Field(description="Draws per range")
    variance_shares: list[VarianceShare] = Field(description="The largest first")


class UnitsShown(Wire):
    """How many units of one benefit pay for the whole case."""

    benefit_id: str = Field(description="The benefit")
    name: str = Field(description="Its name")
    what: str | None = Field(description="What is counted, where that was said")
    units: Figure | None = Field(description="Rounded up; null with a reason")
    planned: Figure | None = Field(description="How many the plan counts on")
    margin_per_unit: Amount | None = Field(description="Weighted by present value")
    reason: str | None = Field(description="no_unit_stated, no_margin, not_computable")


class BreakEven(Wire):
    """What it takes to pay for a case."""

    case_id: Id = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    basis: ValuationBasis = Field(description="What it rests on")
    money: Amount = Field(description="Present value of benefits that is needed: that of the costs")
    planned_money: Amount = Field(description="Present value of the benefits as planned")
    months: Payback = Field(description="Discounted, from the first outlay")
    units: list[UnitsShown] = Field(description="By benefit, if it alone had to pay for all")


class ObstacleWorth(Wire):
    """What one open obstacle costs, and what more mitigation would be worth."""

    factor_id: str = Field(description="The obstacle, in goals")
    text: str = Field(description="What it is")
    chance: Figure = Field(description="Likelihood times impact, from 0 to 1")
    left: Figure = Field(description="What the mitigations that are done leave of it")
    possible: Figure = Field(description="What all mitigations would leave of it")
    costs_npv: Amount = Field(description="What it costs in net present value now")
    mitigation_worth: Amount = Field(description="What the mitigations still to come would bring")
    mitigation_cost: Amount | None = Field(
        description="Present value of their cost lines; null where none is named"
    )


class Risks(Wire):
    """What the open obstacles of the goals behind a case cost."""

    case_id: Id = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    basis: ValuationBasis = Field(description="What it rests on")
    obstacles: list[ObstacleWorth] = Field(description="The dearest first")


@router.get("/cases/{case_id}/sensitivity")
def show_sensitivity(
    case_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))],
    scenario: ScenarioKey = BASE, include: Included = None,
    swing: Annotated[
        DecimalString, Query(gt=0, le=1, description="How far each is moved, as a share of itself")
    ] = Decimal("0.1"),
) -> Sensitivity:  # fmt: skip
    """Show which assumptions the worth hangs on, and where each would turn it (tornado)."""
    return sensitivity_of(seen(reader, case_id, scenario), include or (), swing)


def sensitivity_of(
    known: Seen, included: Collection[str], swing: Decimal = Decimal("0.1")
) -> Sensitivity:
    """The tornado of a case as seen."""
    swings = tornado(known.case, known.measured, included, swing)
    currency = known.case.body.currency
    npv = value(known.case, known.measured, included).plan.npv
    return Sensitivity(
        case_id=known.case.case_id, currency=currency, scenario=known.scenario,
        basis=ValuationBasis.model_validate(known.bases), npv=round_money(npv, currency),
        swings=[_swing(one, currency) for one in swings],
    )  # fmt: skip


def _significant(figure: Decimal) -> Decimal:
    """A figure of any size, to the digits that a JSON number holds."""
    return Decimal(f"{figure:.15g}")


def _swing(one: Swing, currency: str) -> SwingShown:
    turning = one.switching
    return SwingShown(
        assumption=one.assumption.address, label=one.assumption.label,
        figure=one.assumption.figure, relative=one.assumption.relative, low=one.low, high=one.high,
        npv_low=round_money(one.npv_low, currency), npv_high=round_money(one.npv_high, currency),
        switching=None if turning is None else _significant(turning),
        reason="no_switch" if turning is None else None,
    )  # fmt: skip


@router.post("/cases/{case_id}/simulation")
def simulate_case(
    case_id: str, body: SimulationAsked,
    reader: Annotated[Reader, Depends(reads("valuation:read"))], include: Included = None,
) -> SimulationShown:  # fmt: skip
    """Draw the uncertain assumptions many times and show how the worth is spread; seeded."""
    known = seen(reader, case_id, body.scenario)
    case, world = known.case, world_now(reader)
    addresses = {one.address: one.label for one in assumptions(case)}
    spread = {}
    for place, one in enumerate(body.uncertain):
        pointer = f"/uncertain/{place}"
        address = _address(case, one.of, addresses, pointer)
        spread[address] = distribution(world, pointer, one.distribution)
    if not spread and not _spread_by_themselves(case):
        detail = "Nothing is uncertain: give inputs a distribution, or name some in `uncertain`."
        raise invalid("/uncertain", detail, "nothing_uncertain")
    return simulation_of(known, body, spread, include or ())


def simulation_of(
    known: Seen,
    body: SimulationAsked,
    spread: Mapping[str, Distribution],
    included: Collection[str],
) -> SimulationShown:
    """The simulation of a case as seen."""
    many = body.draws * (len(spread) + len(_spread_by_themselves(known.case)))
    if many > MAX_FIGURES:
        detail = f"{many:,} random figures are asked for; the most is {MAX_FIGURES:,}."
        raise invalid("/draws", detail, "too_many")
    found = simulate(
        known.case, known.measured, spread, draws=body.draws, seed=body.seed, included=included
    )
    return _simulation(known, body, found, {a.address: a.label for a in assumptions(known.case)})


def _spread_by_themselves(case: Case) -> list[str]:
    """The inputs that were stated with a distribution."""
    return [a.address for a in assumptions(case) if a.input and a.input.distribution]


def _address(case: Case, stated: str, known: dict[str, str], pointer: str) -> str:
    """The address of an assumption that may be named by its line's name."""
    if stated == "discount_rate":
        raise invalid(f"{pointer}/of", "A discount rate is chosen, not drawn.", "not_uncertain")
    stated = by_identity(case, stated)
    if stated not in known:
        detail = f"{stated!r} is not stated in this case.{did_you_mean(stated, list(known))}"
        raise invalid(f"{pointer}/of", detail, "unknown_assumption")
    return stated


def _simulation(
    known: Seen, body: SimulationAsked, found: Simulated, labels: dict[str, str]
) -> SimulationShown:
    shares = sorted(found.shares.items(), key=lambda pair: (-pair[1], pair[0]))
    names = ["initial", *_period_names(known)]
    return SimulationShown(
        case_id=known.case.case_id, currency=known.case.body.currency, scenario=body.scenario,
        basis=ValuationBasis.model_validate(known.bases), draws=found.draws, seed=body.seed,
        mean=found.mean, sd=found.sd, p_npv_positive=found.p_positive,
        quantiles=[Quantile(share=q, npv=v) for q, v in found.quantiles.items()],
        payback=[
            PaidBack(period=name, probability=p)
            for name, p in zip(names, found.paid_back, strict=True)
        ],
        histogram=[Bin(low=low, high=high, draws=n) for low, high, n in found.histogram],
        variance_shares=[
            VarianceShare(assumption=a, label=labels[a], share=share) for a, share in shares
        ],
    )  # fmt: skip


def _period_names(known: Seen) -> list[str]:
    return [slot.name for slot in Valuing(known.case, known.measured).slots[1:]]


@router.get("/cases/{case_id}/break-even")
def show_break_even(
    case_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))],
    scenario: ScenarioKey = BASE, include: Included = None,
) -> BreakEven:  # fmt: skip
    """Show what pays for a case: in money, in time, and in units that people know."""
    known = seen(reader, case_id, scenario)
    valued = value(known.case, known.measured, include or ())
    work, currency = Valuing(known.case, known.measured, include or ()), known.case.body.currency
    plan = slice_shown(valued.plan, currency)
    return BreakEven(
        case_id=case_id, currency=currency, basis=ValuationBasis.model_validate(known.bases),
        money=plan.pv_costs.amount, planned_money=plan.pv_benefits.amount,
        months=plan.discounted_payback_months,
        units=[_units(units(work, valued, line), currency) for line in known.case.benefits],
    )  # fmt: skip


def _units(found: Units, currency: str) -> UnitsShown:
    margin = found.margin
    return UnitsShown(
        benefit_id=found.line.benefit_id, name=found.line.name, what=found.what, units=found.units,
        planned=None if found.planned is None else _significant(found.planned),
        margin_per_unit=None if margin is None else round_money(margin, currency),
        reason=found.reason,
    )  # fmt: skip


@router.get("/cases/{case_id}/risks")
def show_risks(
    case_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))],
    include: Included = None,
) -> Risks:  # fmt: skip
    """Show what each open obstacle costs in net present value, and what mitigation is worth."""
    known = seen(reader, case_id)
    currency = known.case.body.currency
    found = obstacle_worths(known.case, known.measured, include or ())
    return Risks(
        case_id=case_id, currency=currency, basis=ValuationBasis.model_validate(known.bases),
        obstacles=[_obstacle(one, currency) for one in found],
    )  # fmt: skip


def _obstacle(one: Worth, currency: str) -> ObstacleWorth:
    cost = one.mitigation_cost
    return ObstacleWorth(
        factor_id=one.obstacle.factor_id, text=one.obstacle.text, chance=one.obstacle.chance,
        left=one.obstacle.left, possible=one.obstacle.possible,
        costs_npv=round_money(one.costs, currency),
        mitigation_worth=round_money(one.mitigation, currency),
        mitigation_cost=None if cost is None else round_money(cost, currency),
    )  # fmt: skip
