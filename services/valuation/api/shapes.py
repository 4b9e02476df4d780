"""Wire shapes of cases."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.valuation.api.inputs import MAX_PERIODS, RateBody
from services.valuation.api.lines import Benefit, Category, Cost, shown_benefit, shown_cost
from services.valuation.domain.case import Case as State
from services.valuation.domain.schedule import MONTHS
from shared.money import Currency, DecimalString
from shared.web.wire import Change, InstantField, Key, Known, Text, Wire
from shared.words import Id, Name, Reason

MAX_YEARS = 100


class NewCase(Wire):
    """A business case to be opened."""

    initiative_id: Id = Field(description="The initiative, in goals")
    name: Name = Field(description="Name", examples=["CRM roll-out, base case"])
    currency: Currency = Field(description="Currency of every amount")
    start: Annotated[date, Field(ge=date(1950, 1, 1), le=date(2100, 1, 1))] = Field(
        description="First day of the first period", examples=["2025-01-01"]
    )
    grain: Literal["month", "quarter", "year"] = Field("year", description="Length of a period")
    periods: Annotated[int, Field(strict=True, ge=1, le=MAX_PERIODS)] = Field(
        3, description="Number of periods"
    )
    discount_rate: RateBody = Field(description="Yearly rate as a fraction", examples=["0.10"])
    convention: Literal["end_of_period", "mid_period", "exact_dates"] = Field(
        "end_of_period", description="When flows are discounted; the start never is"
    )
    users: Annotated[int, Field(strict=True, ge=1, le=100_000_000)] | None = Field(
        None, description="Users of the system, for the cost per user"
    )
    finance_rate: RateBody | None = Field(
        None, description="MIRR: yearly rate at which outlays are financed; default: discount rate"
    )
    reinvest_rate: RateBody | None = Field(
        None,
        description="MIRR: yearly rate at which returns are reinvested; default: discount rate",
    )

    @model_validator(mode="after")
    def _within_a_life(self) -> NewCase:
        if self.periods * MONTHS[self.grain] > MAX_YEARS * 12:
            raise ValueError(f"a horizon is at most {MAX_YEARS} years")
        return self


class CaseChange(Change):
    """What should change; what is left out stays."""

    name: Name | None = Field(None, description="Name")
    discount_rate: RateBody | None = Field(None, description="Yearly rate as a fraction")
    convention: Literal["end_of_period", "mid_period", "exact_dates"] | None = Field(
        None, description="When flows are discounted"
    )
    periods: Annotated[int, Field(strict=True, ge=1, le=MAX_PERIODS)] | None = Field(
        None, description="Number of periods"
    )
    users: Annotated[int, Field(strict=True, ge=1, le=100_000_000)] | None = Field(
        None, description="Users of the system"
    )
    finance_rate: RateBody | None = Field(None, description="MIRR: rate of financing")
    reinvest_rate: RateBody | None = Field(None, description="MIRR: rate of reinvestment")
    reason: Reason = Field(description="Why it changes")


class OverrideBody(Wire):
    """An assumption that is otherwise: by a figure, a curve, or a factor on what is stated."""

    of: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="discount_rate, costs/ID/amount, costs/ID/risk, costs/ID/inputs/NAME, "
        "benefits/ID/inputs/NAME, "
        "benefits/ID/adoption, .../capture, .../attribution or .../risk; a name will do for an id",
        examples=["benefits/More deals won/inputs/margin"],
    )
    value: DecimalString | None = Field(None, description="The figure")
    curve: Annotated[list[DecimalString], Field(min_length=1, max_length=MAX_PERIODS)] | None = (
        Field(None, description="Or a figure per period")
    )
    factor: DecimalString | None = Field(None, description="Or what it is multiplied with")

    @model_validator(mode="after")
    def _one_way(self) -> OverrideBody:
        if sum(x is not None for x in (self.value, self.curve, self.factor)) != 1:
            raise ValueError("name exactly one of value, curve and factor")
        return self


class NewScenario(Wire):
    """Another way in which things could go."""

    name: Name = Field(description="Name", examples=["Slow adoption"])
    overrides: Annotated[list[OverrideBody], Field(min_length=1, max_length=200)] = Field(
        description="What would be otherwise, applied in order"
    )
    reason: Reason = Field(description="Why it is looked at")


class Scenario(Wire):
    """A scenario of a case."""

    key: Key = Field(description="Its key")
    name: str = Field(description="Its name")
    overrides: list[OverrideBody] = Field(description="What is otherwise")


class Case(NewCase):
    """A business case."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Number of changes; the ETag")
    costs: list[Cost] = Field(description="Costs")
    benefits: list[Benefit] = Field(description="Benefits")
    scenarios: list[Scenario] = Field(description="Scenarios besides the base")


class CaseAnswer(Known):
    """A case as known at a basis."""

    case: Case = Field(description="The case")


class HistoryEntry(Wire):
    """One change of a case."""

    at: InstantField = Field(description="When it was recorded")
    who: str = Field(description="Who changed it")
    what: Text = Field(description="What changed, in words")
    reason: str | None = Field(description="Why; null where none was asked for")
    revision: int = Field(ge=1, description="Revision of the case after it")
    position: int = Field(ge=1, description="Position in the ledger")


class CaseHistory(Known):
    """What happened to a case, oldest first."""

    entries: list[HistoryEntry] = Field(description="Every change")


class NewActual(Wire):
    """A cost that was really booked."""

    item: Name = Field(description="Name or id of the cost")
    amount: DecimalString = Field(description="Amount in the case's currency")
    on: date = Field(description="Booking day")
    reference: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="The voucher: the same one is booked once"
    )
    category: Category = Field("other", description="Kind of cost; not stated: the item's")
    phase: Name | None = Field(None, description="Phase of the initiative; default: the item's")


class Actual(Wire):
    """A booked cost."""

    status: str = Field(description="accepted, or duplicate when it was booked before")
    position: int | None = Field(description="Position in the metrics ledger")


class Withdraw(Wire):
    """Why a line leaves the case."""

    reason: Reason = Field(description="Why")


def shown(state: State) -> Case:
    """A case as the API shows it."""
    return Case.model_validate(
        {
            **state.body.model_dump(),
            "id": state.case_id,
            "revision": state.revision,
            "costs": [shown_cost(line) for line in state.costs],
            "benefits": [shown_benefit(line) for line in state.benefits],
            "scenarios": [one.model_dump() for one in state.scenarios],
        }
    )
