"""Wire shapes of progress: where a goal, a delivery and a family stand."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field

from services.goals.api.shapes import BaselineShown, StepShown
from shared.money import Amount
from shared.web.wire import BasisToken, Figure, InstantField, PeriodName, Text, Wire
from shared.words import Id


class ProgressValue(Wire):
    """A figure of a period with its proof."""

    period: PeriodName
    value: Figure | None = Field(description="The figure; null with a reason")
    reason: str | None = Field(description="Why there is none")
    provisional: bool = Field(description="True while data may still come in")
    proof: dict[str, Any] = Field(description="What it was computed from, by metrics")


class ProgressTarget(Wire):
    """What is to be reached."""

    period: PeriodName
    value: Figure | None = Field(description="The figure; null for a band")
    band: list[Figure] | None = Field(description="Lower and upper edge")


class ProgressBasis(Wire):
    """The states of both ledgers that the answer rests on."""

    goals: BasisToken
    metrics: str | None = Field(description="Basis of the metrics ledger; null when not asked")


class CheckIn(Wire):
    """What somebody believes of a goal."""

    by: str = Field(description="Who says so")
    at: InstantField = Field(description="When")
    confidence: Figure = Field(description="How likely it will be reached, 0 to 1")
    comment: str = Field(description="Why")


class LastCheckIn(CheckIn):
    """The last view of a goal beside what its figures say."""

    differs: bool = Field(description="True where view and figures contradict each other")


class DeliveryProgress(Wire):
    """Where a delivery stands."""

    due: date = Field(description="The day that is promised")
    days_left: int = Field(description="Days until then; negative: overdue")
    steps_done: int = Field(ge=0, description="Milestones that are done")
    steps: int = Field(ge=0, description="All its milestones")
    next_step: StepShown | None = Field(description="The milestone that is due next")
    budget: Amount | None = Field(description="What it may cost")
    spent: ProgressValue | None = Field(
        description="What it has cost by now, with proof; null where nothing watches it"
    )


class LeadingShown(Wire):
    """A goal that is an early warning of another."""

    goal_id: Id = Field(description="The goal that warns")
    title: str = Field(description="What is to become true of it")
    status: str = Field(description="Where it stands")


class FamilyMember(Wire):
    """Where one member of a family stands: one shop of 200."""

    name: str = Field(description="Value of the dimension")
    status: str = Field(description="Where it stands, as the goal's own status")
    baseline: Figure | None = Field(description="Its own figure over the baseline's periods")
    target: Figure | None = Field(description="What the goal's change makes of it")
    current: ProgressValue | None = Field(
        description="The last complete period; null where nothing of it is recorded"
    )
    fraction: Figure | None = Field(description="Share of its own way that is done")
    because: list[Text] = Field(description="Why the status is what it is")


class Family(Wire):
    """Where the members of a goal stand."""

    dimension: str = Field(description="What they are told apart by")
    statuses: dict[str, int] = Field(description="Members by status")
    members: list[FamilyMember] = Field(description="By name")


class Progress(Wire):
    """Where a goal stands."""

    goal_id: Id = Field(description="The goal")
    status: Literal[
        "not_started", "no_data", "stale", "on_track", "at_risk", "off_track", "reached"
    ] = Field(description="Where it stands")
    baseline: BaselineShown | None = Field(description="Where it started")
    current: ProgressValue | None = Field(description="The last complete period")
    running: ProgressValue | None = Field(description="The period that is under way")
    target: ProgressTarget | None = Field(description="What is to be reached")
    delivery: DeliveryProgress | None = Field(description="Of a deliverable: where it stands")
    fraction: Figure | None = Field(description="Share of the way that is done; may be negative")
    expected_fraction: Figure | None = Field(description="Share that was expected by now")
    signal: Literal["beyond_noise", "noise"] | None = Field(
        description="Whether the current figure lies outside what the baseline varies by itself: "
        "its natural limits, or its mean moving range; null without a figure"
    )
    because: list[Text] = Field(description="Why the status is what it is")
    leading: list[LeadingShown] = Field(description="Goals whose `warns_for` names it")
    check_in: LastCheckIn | None = Field(description="What was last believed of it")
    family: Family | None = Field(None, description="With `group_by`: where each member stands")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ProgressBasis = Field(description="What it rests on")
