"""Wire shapes of cases and their lines."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from services.valuation.domain.case import (
    BenefitLine,
    CostLine,
)
from services.valuation.domain.case import (
    Case as State,
)
from shared.money import Currency, DecimalString
from shared.web.wire import Change, FilterBody, Key, Known, Wire
from shared.words import Id, Name, Reason

Share = Annotated[DecimalString, Field(ge=0, le=1)]


Category = Literal[
    "licence", "hardware", "implementation", "training", "maintenance", "upgrade",
    "internal_labour", "integration", "migration", "support", "change_management",
    "productivity_dip", "other",
]  # fmt: skip


BenefitCategory = Literal[
    "cashable", "cost_avoidance", "revenue", "working_capital", "soft_time", "non_financial"
]


MAX_PERIODS = 120


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
    discount_rate: Annotated[DecimalString, Field(gt=-1, le=10)] = Field(
        description="Yearly rate as a fraction", examples=["0.10"]
    )
    convention: Literal["end_of_period", "mid_period", "exact_dates"] = Field(
        "end_of_period", description="When flows are discounted; the start never is"
    )


class CaseChange(Change):
    """What should change; what is left out stays."""

    name: Name | None = Field(None, description="Name")
    discount_rate: Annotated[DecimalString, Field(gt=-1, le=10)] | None = Field(
        None, description="Yearly rate as a fraction"
    )
    convention: Literal["end_of_period", "mid_period", "exact_dates"] | None = Field(
        None, description="When flows are discounted"
    )
    reason: Reason = Field(description="Why it changes")


class OnceBody(Wire):
    """A cost that falls due once."""

    on: date = Field(description="When")
    amount: DecimalString = Field(description="How much")


class RecurringBody(Wire):
    """A cost that comes back."""

    from_: date = Field(alias="from", description="First time")
    to: date = Field(description="Not after (exclusive)")
    every: Literal["P1M", "P3M", "P1Y"] = Field(description="How often")
    amount: DecimalString = Field(description="How much each time")
    indexation: Annotated[DecimalString, Field(gt=-1, le=10)] = Field(
        Decimal(0), description="Yearly rise as a fraction"
    )

    @model_validator(mode="after")
    def _in_order(self) -> RecurringBody:
        if self.from_ >= self.to:
            raise ValueError("`from` must lie before `to`")
        return self


class NewCost(Wire):
    """A cost, by exactly one of three plans."""

    name: Name = Field(description="Name; booked costs find their line by it")
    category: Category = Field(description="Kind of cost", examples=["licence"])
    amounts: (
        Annotated[list[DecimalString], Field(min_length=1, max_length=MAX_PERIODS + 1)] | None
    ) = Field(None, description="The first is initial, then one per period")
    once: OnceBody | None = Field(None, description="Or once")
    recurring: RecurringBody | None = Field(None, description="Or again and again")
    risk: Annotated[DecimalString, Field(ge=0, le=10)] = Field(
        Decimal(0), description="Upward adjustment as a fraction"
    )
    phase: Name | None = Field(None, description="Phase of the initiative")

    @model_validator(mode="after")
    def _one_plan(self) -> NewCost:
        if sum(p is not None for p in (self.amounts, self.once, self.recurring)) != 1:
            raise ValueError("name exactly one of amounts, once and recurring")
        return self


class MetricChangeBody(Wire):
    """A metric's change against a frozen baseline."""

    metric: Key = Field(description="Key of the metric")
    baseline_id: Id = Field(description="The baseline, in metrics")


class MetricBody(Wire):
    """A metric's value per period."""

    key: Key = Field(description="Key of the metric")
    where: FilterBody | None = Field(None, description="A FILTER, besides the metric's own")


class InputBody(Wire):
    """A named input: exactly one of the four."""

    metric_change: MetricChangeBody | None = Field(None, description="Change against a baseline")
    metric: MetricBody | None = Field(None, description="A metric's value")
    curve: Annotated[list[DecimalString], Field(min_length=1, max_length=MAX_PERIODS)] | None = (
        Field(None, description="A figure per period; the last one holds on")
    )
    value: DecimalString | None = Field(None, description="A constant")
    unit: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Unit of the figures"
    )

    @model_validator(mode="after")
    def _one_source(self) -> InputBody:
        given = (self.metric_change, self.metric, self.curve, self.value)
        if sum(g is not None for g in given) != 1:
            raise ValueError("name exactly one of metric_change, metric, curve and value")
        return self


class AdoptionBody(Wire):
    """How the effect ramps up."""

    curve: Annotated[list[Share], Field(min_length=1, max_length=MAX_PERIODS)] = Field(
        description="Share of full effect per period; the last one holds on"
    )


class AttributionBody(Wire):
    """The share that is due to this initiative."""

    share: Share = Field(description="From 0 to 1")
    reason: Reason = Field(description="Why this share")


class NewBenefit(Wire):
    """A rule that turns a metric's change into money."""

    name: Name = Field(description="Name, with a word of change", examples=["More deals won"])
    category: BenefitCategory = Field(description="What kind of money it is")
    audience: Literal["customer", "prospect", "stakeholder", "business"] = Field(
        "business", description="Whose value it is"
    )
    template: Literal["rate-uplift"] | None = Field(
        None, description="`rate-uplift`: change x volume x value x margin"
    )
    formula: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None,
        description="Or a formula over the inputs, with + - * / ( )",
        examples=["change * volume * value * margin"],
    )
    inputs: Annotated[dict[str, InputBody], Field(min_length=1, max_length=20)] = Field(
        description="What the formula's names stand for"
    )
    planned: Annotated[dict[str, InputBody], Field(max_length=20)] = Field(
        default_factory=dict, description="The plan for every input that is measured"
    )
    adoption: AdoptionBody | None = Field(None, description="Ramp of the plan; default: at once")
    capture: Share = Field(Decimal(1), description="Share of the effect that is really used")
    attribution: AttributionBody | None = Field(None, description="Share due to this initiative")
    risk: Share = Field(Decimal(0), description="Downward adjustment of the plan")
    goal_id: Id | None = Field(None, description="The goal that promises it")
    evidence: Literal["verified", "conditional", "unverified"] = Field(
        "unverified", description="How sure the rule is"
    )
    phase: Name | None = Field(None, description="Phase of the initiative")

    @model_validator(mode="after")
    def _one_rule(self) -> NewBenefit:
        if (self.template is None) == (self.formula is None):
            raise ValueError("name either `template` or `formula`")
        return self


class Cost(NewCost):
    """A cost of a case."""

    id: str = Field(description="Id of the line")


class Benefit(NewBenefit):
    """A benefit of a case."""

    id: str = Field(description="Id of the line")


class Case(NewCase):
    """A business case."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Number of changes; the ETag")
    costs: list[Cost] = Field(description="Costs")
    benefits: list[Benefit] = Field(description="Benefits")


class CaseAnswer(Known):
    """A case as known at a basis."""

    case: Case = Field(description="The case")


class NewActual(Wire):
    """A cost that was really booked."""

    item: Name = Field(description="Name or id of the cost")
    amount: DecimalString = Field(description="Amount in the case's currency")
    on: date = Field(description="Booking day")
    reference: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="The voucher: the same one is booked once"
    )
    category: Category = Field("other", description="Kind of cost")
    phase: Name | None = Field(None, description="Phase of the initiative")


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
            "costs": [_shown_cost(line) for line in state.costs],
            "benefits": [_shown_benefit(line) for line in state.benefits],
        }
    )


def _shown_cost(line: CostLine) -> dict[str, Any]:
    body = line.model_dump()
    body["id"] = body.pop("cost_id")
    if body["recurring"] is not None:
        body["recurring"]["from"] = body["recurring"].pop("from_")
    return body


def _shown_benefit(line: BenefitLine) -> dict[str, Any]:
    body = line.model_dump()
    body["id"] = body.pop("benefit_id")
    body["adoption"] = {"curve": body["adoption"]}
    if body["template"] is not None:
        body["formula"] = None
    return body
