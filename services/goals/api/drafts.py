"""Wire shapes of goals: what a client states."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.web.wire import FilterBody, Key, Number, PeriodName, Wire
from shared.words import Id, Name, Reason

# Who is no member of the body that decides may act as an admin, and says why.
ActingReason = Annotated[
    Reason | None, Field(description="Why an admin decides who is no member of the deciding body")
]
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


class GoalDraft(Wire):
    """A measured goal, as it is stated."""

    kind: Literal["measured"] = Field("measured", description="Held against a metric")
    title: Name = Field(description="What is to become true", examples=["Win one deal in three"])
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
    business_owner: Name | None = Field(None, description="Whose figure it is")
    audience: Audience | None = Field(None, description="Whose value; default: the metric's")
    indicator: Literal["leading", "lagging"] | None = Field(
        None, description="Default: the metric's"
    )
    nature: Literal["value", "operational", "usage"] | None = Field(
        None, description="Default: the metric's"
    )
    priority: Literal["must", "should", "could", "later"] = Field(
        "must", description="Weight in the verdict"
    )
    phase: Name | None = Field(None, description="Phase of the initiative")
    milestones: list[MilestoneBody] = Field(
        default_factory=list, max_length=60, description="On the way"
    )
    warns_for: list[Id] = Field(
        default_factory=list, max_length=50, description="Goals whose early warning this is"
    )
    other_causes: list[OtherCauseBody] = Field(
        default_factory=list, max_length=20, description="What else moves the metric"
    )
    horizon: Literal["short", "medium", "long"] | None = Field(
        None,
        description="short: due within a quarter, medium: within a year, long: within five; must "
        "fit `target_period`. Default: as that says",
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
    measure_of: Name | None = Field(None, description="V2MOM that it is a measure of")
    objective: Name | None = Field(None, description="Objective (OKR) that it is a key result of")
    tags: list[Annotated[str, Field(min_length=1, max_length=60)]] = Field(
        default_factory=list, max_length=20, description="Words to find it by"
    )


class NewGoal(GoalDraft):
    """A measured goal of an initiative."""

    initiative_id: Id = Field(description="The initiative that it belongs to")


class OverrideBody(Wire):
    """Why a failing goal is committed all the same."""

    reason: Reason = Field(description="Why")
    responsible: Name = Field(description="Who answers for it")


class Commit(Wire):
    """A commitment."""

    override: OverrideBody | None = Field(None, description="Needed where S, M or T fails")
    acting_reason: ActingReason = None


class Amend(Wire):
    """A change of the commitment."""

    target: TargetBody | None = Field(None, description="New target")
    target_period: PeriodName | None = Field(None, description="New target period")
    reason: Reason = Field(description="Why")
    acting_reason: ActingReason = None


class Abandon(Wire):
    """Why a goal is given up."""

    reason: Reason = Field(description="Why")
    acting_reason: ActingReason = None


class Close(Wire):
    """A request to judge; it needs nothing."""
