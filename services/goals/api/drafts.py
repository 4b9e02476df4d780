"""Wire shapes of goals: what a client states."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from shared.money import Currency, DecimalString
from shared.web.wire import FilterBody, Key, Number, PeriodName, Wire
from shared.words import Id, Name, Prose, Reason

# Who is no member of the body that decides may act as an admin, and says why.
ActingReason = Annotated[
    Reason | None, Field(description="Why an admin decides who is no member of the deciding body")
]


def _not_negative(amount: Decimal) -> Decimal:
    if amount < 0:
        raise ValueError("must not be negative")
    return amount


Cost = Annotated[DecimalString, AfterValidator(_not_negative)]
Audience = Literal["customer", "prospect", "stakeholder", "business"]


class TargetBody(Wire):
    """What is to be reached: exactly one of the four."""

    value: Number | None = Field(None, description="A figure to reach", examples=[0.35])
    change: Number | None = Field(None, description="A change against the baseline")
    change_percent: Number | None = Field(None, description="The same in percent of the baseline")
    band: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Lower and upper edge to stay within"
    )

    @model_validator(mode="after")
    def _one_form(self) -> TargetBody:
        given = [
            n for n in ("value", "change", "change_percent", "band") if getattr(self, n) is not None
        ]
        if len(given) != 1:
            raise ValueError("name exactly one of value, change, change_percent and band")
        if self.band is not None and self.band[0] >= self.band[1]:
            raise ValueError("the band's lower edge must lie below its upper edge")
        return self


class BaselineBody(Wire):
    """What the goal starts from: periods, or a frozen baseline."""

    periods: list[PeriodName] | None = Field(
        None, min_length=1, max_length=60, description="Periods", examples=[["2024-Q1", "2024-Q2"]]
    )
    method: Literal["pooled", "mean_of_periods", "median_of_periods"] = Field(
        "pooled", description="How several periods become one figure"
    )
    id: Id | None = Field(None, description="Or a baseline frozen in metrics")

    @model_validator(mode="after")
    def _one_form(self) -> BaselineBody:
        if (self.periods is None) == (self.id is None):
            raise ValueError("name either `periods` or `id`")
        return self


class MilestoneBody(Wire):
    """A figure on the way."""

    period: PeriodName
    value: Number = Field(description="Figure expected in that period")


class OtherCauseBody(Wire):
    """Something else that moves the metric."""

    cause: Name = Field(description="What it is: season, market, staffing, another initiative")
    share: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        None, description="Share of the change that it is given"
    )


class StatedGoal(Wire):
    """What is stated of a goal of either kind."""

    title: Name = Field(description="What is to become true", examples=["Win one deal in three"])
    business_owner: Name | None = Field(None, description="Whose figure it is")
    priority: Literal["must", "should", "could", "later"] = Field(
        "must", description="Weight in the verdict"
    )
    phase: Name | None = Field(None, description="Phase of the initiative")
    warns_for: list[Id] = Field(
        default_factory=list, max_length=50, description="Goals whose early warning this is"
    )
    other_causes: list[OtherCauseBody] = Field(
        default_factory=list, max_length=20, description="What else moves it"
    )
    horizon: Literal["short", "medium", "long"] | None = Field(
        None,
        description="short: due within a quarter, medium: within a year, long: within five; must "
        "fit the day it is due. Default: as that says",
    )
    aim: Literal["control", "quick_use", "automation"] | None = Field(
        None, description="Which aim of introducing a system it serves"
    )
    rank: Annotated[int, Field(ge=1, le=1_000)] | None = Field(
        None, description="Place among goals of the same priority"
    )
    area: Name | None = Field(None, description="Digital area or organisational unit")
    weight: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="Share of its parent, or of its objective; together at most 1"
    )
    parent: Id | None = Field(None, description="The business goal that it serves; no circles")
    measure_of: Id | None = Field(None, description="V2MOM that it is a measure of")
    objective: Id | None = Field(None, description="Objective (OKR) that it is a key result of")
    tags: list[Annotated[str, Field(min_length=1, max_length=60)]] = Field(
        default_factory=list, max_length=20, description="Words to find it by"
    )

    acting_reason: ActingReason = None

    @model_validator(mode="after")
    def _shares_are_at_most_the_whole(self) -> StatedGoal:
        if sum(cause.share or 0 for cause in self.other_causes) > 1:
            raise ValueError("the shares of other causes add up to more than 1")
        return self


class GoalDraft(StatedGoal):
    """A measured goal, as it is stated."""

    kind: Literal["measured"] = Field("measured", description="Held against a metric")
    metric: Key = Field(description="Key of the metric", examples=["win-rate"])
    where: FilterBody | None = Field(None, description="A FILTER, besides the metric's own")
    baseline: BaselineBody = Field(description="What it starts from")
    target: TargetBody = Field(description="What is to be reached")
    target_period: PeriodName = Field(
        description="The period that is judged; `due` is its last day"
    )
    measured_over: Literal["month", "quarter", "year", "trailing", "at_end"] | None = Field(
        None, description="Length of the periods looked at; default: the baseline's"
    )
    audience: Audience | None = Field(None, description="Whose value; default: the metric's")
    indicator: Literal["leading", "lagging"] | None = Field(
        None, description="Default: the metric's"
    )
    nature: Literal["value", "operational", "usage"] | None = Field(
        None, description="Default: the metric's; a usage metric is never value"
    )
    milestones: list[MilestoneBody] = Field(
        default_factory=list, max_length=60, description="On the way"
    )


class StepBody(Wire):
    """A dated milestone on the way to a delivery."""

    title: Name = Field(description="What is done then")
    due: date = Field(description="Until when")


class BudgetBody(Wire):
    """What a delivery may cost."""

    amount: Cost = Field(description="A decimal text", examples=["120000.00"])
    currency: Currency = Field(description="ISO 4217")
    metric: Key | None = Field(
        None, description="Metric over booked costs (`cost.booked`) that says what was spent"
    )
    where: FilterBody | None = Field(None, description="A FILTER, besides the metric's own")
    since: date | None = Field(None, description="First day whose costs count; with `metric`")

    @model_validator(mode="after")
    def _watched_from_a_day(self) -> BudgetBody:
        if (self.metric is None) != (self.since is None):
            raise ValueError("`metric` and `since` go together")
        return self


class DeliverableDraft(StatedGoal):
    """A goal that is delivered, as it is stated."""

    kind: Literal["deliverable"] = Field(description="Accepted by somebody, by a day")
    criteria: list[Name] = Field(
        default_factory=list, max_length=50, description="What it must do to be accepted"
    )
    acceptor: Name | None = Field(None, description="Who accepts it, as that person's keys say")
    due: date = Field(description="Until when")
    steps: list[StepBody] = Field(
        default_factory=list, max_length=60, description="Dated milestones"
    )
    budget: BudgetBody | None = Field(None, description="What it may cost")
    enables: list[Id] = Field(
        default_factory=list, max_length=50, description="Measured goals that it enables"
    )
    audience: Audience = Field("business", description="Whose value it is")

    @model_validator(mode="after")
    def _titles_differ(self) -> DeliverableDraft:
        if len({step.title for step in self.steps}) < len(self.steps):
            raise ValueError("two milestones have the same title")
        return self


class NewGoal(GoalDraft):
    """A measured goal of an initiative."""

    initiative_id: Id = Field(description="The initiative that it belongs to")


class NewDeliverable(DeliverableDraft):
    """A deliverable of an initiative."""

    initiative_id: Id = Field(description="The initiative that it belongs to")


def _kind(body: Any) -> str:
    said = body.get("kind", "measured") if isinstance(body, dict) else getattr(body, "kind", "")
    return said if said == "deliverable" else "measured"


AnyDraft = Annotated[
    Annotated[GoalDraft, Tag("measured")] | Annotated[DeliverableDraft, Tag("deliverable")],
    Discriminator(_kind),
]
AnyNewGoal = Annotated[
    Annotated[NewGoal, Tag("measured")] | Annotated[NewDeliverable, Tag("deliverable")],
    Discriminator(_kind),
]


class OverrideBody(Wire):
    """Why a failing goal is committed all the same."""

    reason: Reason = Field(description="Why")
    responsible: Name = Field(description="Who answers for it")


class MeasureFirst(Wire):
    """Why a metric can't be measured yet, and what will measure it."""

    cause: Literal["not_thought_of", "no_instrument", "source_silent", "no_history"] = Field(
        description="Why there is no baseline"
    )
    instrument: Name = Field(description="What will measure it", examples=["CRM activity log"])
    by: date = Field(description="From when on")


class Commit(Wire):
    """A commitment."""

    override: OverrideBody | None = Field(None, description="Needed where S, M or T fails")
    measure_first: MeasureFirst | None = Field(
        None, description="Commit to measure first; commit again once the baseline is measurable"
    )
    acting_reason: ActingReason = None


class Amend(Wire):
    """A change of the commitment."""

    target: TargetBody | None = Field(None, description="New target")
    target_period: PeriodName | None = Field(None, description="New target period")
    due: date | None = Field(None, description="Of a deliverable: new due date")
    budget: Cost | None = Field(None, description="Of a deliverable: new budget")
    reason: Reason = Field(description="Why")
    acting_reason: ActingReason = None


class Abandon(Wire):
    """Why a goal is given up."""

    reason: Reason = Field(description="Why")
    acting_reason: ActingReason = None


class Close(Wire):
    """A request to judge; a measured goal needs nothing."""

    delivered_on: date | None = Field(None, description="Of a deliverable: when it was delivered")
    note: Prose = Field("", description="What the acceptor says")
    acting_reason: Annotated[
        Reason | None, Field(description="Why an admin accepts who is not the acceptor")
    ] = None


class StepDoneBody(Wire):
    """A milestone of a deliverable that was reached."""

    title: Name = Field(description="Which one")
    on: date = Field(description="When; not in the future")
    note: Prose = Field("", description="What there is to say of it")


class Acknowledge(Wire):
    """What else moves a figure is known to whom the figure belongs."""

    acting_reason: Annotated[
        Reason | None, Field(description="Why an admin does who is not the business owner")
    ] = None
