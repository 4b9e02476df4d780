"""Wire shapes of goals: what the service answers."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field

from services.goals.domain.goal import Commitment, GoalClosed
from services.goals.domain.goal import Goal as State
from shared.web.wire import BasisToken, Figure, InstantField, Known, PeriodName, Text, Wire
from shared.words import Id

Verdict = Literal["achieved", "improved", "unchanged", "worsened"]


class TargetShown(Wire):
    """What is to be reached."""

    value: Figure | None = Field(None, description="A figure")
    change: Figure | None = Field(None, description="A change against the baseline")
    change_percent: Figure | None = Field(None, description="The same in percent")
    band: list[Figure] | None = Field(None, description="Lower and upper edge")


class BaselineSpecShown(Wire):
    """What the goal starts from."""

    periods: list[PeriodName] = Field(description="Periods")
    method: str = Field(description="How several periods become one figure")
    id: str | None = Field(description="Or a frozen baseline")


class BaselineShown(Wire):
    """The frozen baseline of a commitment."""

    id: Id = Field(description="Id in metrics")
    value: Figure = Field(description="Its figure")
    periods: list[PeriodName] = Field(description="Its periods")


class CommitmentShown(Wire):
    """What was promised."""

    baseline: BaselineShown = Field(description="Where it starts")
    target: TargetShown = Field(description="As it was stated")
    target_value: Figure | None = Field(description="The figure to reach; null for a band")
    target_period: PeriodName
    due: date = Field(description="Last day of the target period")
    metric_version: int = Field(ge=1, description="Version of the metric that it is held against")


class VerdictShown(Wire):
    """How the goal was judged."""

    value: Figure = Field(description="The figure of the target period")
    first: Verdict = Field(description="Against what was promised first")
    present: Verdict = Field(description="Against what was promised last")
    basis: BasisToken


class MilestoneShown(Wire):
    """A figure on the way."""

    period: PeriodName
    value: Figure = Field(description="Figure expected")


class OtherCauseShown(Wire):
    """Something else that moves the metric."""

    cause: str = Field(description="What it is")
    share: Figure | None = Field(None, description="Share of the change that it is given")


class OverrideShown(Wire):
    """Why a failing goal was committed."""

    reason: str = Field(description="Why")
    responsible: str = Field(description="Who answers for it")


class Goal(Wire):
    """A goal."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Figure of changes; the ETag")
    state: Literal["draft", "committed", "closed", "abandoned"] = Field(
        description="Where it stands"
    )
    kind: Literal["measured"] = Field(description="Held against a metric")
    initiative_id: Id = Field(description="The initiative that it belongs to")
    title: str = Field(description="What is to become true")
    metric: str = Field(description="Key of the metric")
    where: dict[str, Any] | None = Field(description="A FILTER, besides the metric's own")
    baseline: BaselineSpecShown = Field(description="What it starts from")
    target: TargetShown = Field(description="What is to be reached")
    target_period: PeriodName
    due: date = Field(description="Last day of the target period")
    measured_over: str = Field(description="Length of the periods looked at")
    business_owner: str | None = Field(description="Whose figure it is")
    audience: str = Field(description="Whose value")
    indicator: str = Field(description="leading or lagging")
    nature: str = Field(description="value, operational or usage")
    priority: str = Field(description="Weight in the verdict")
    phase: str | None = Field(description="Phase of the initiative")
    milestones: list[MilestoneShown] = Field(description="Figures on the way")
    warns_for: list[str] = Field(description="Goals whose early warning this is")
    other_causes: list[OtherCauseShown] = Field(description="What else moves the metric")
    horizon: Literal["short", "medium", "long"] | None = Field(
        description="How far it looks ahead; null for goals from before this was kept"
    )
    aim: str | None = Field(description="Which aim of introducing a system it serves")
    rank: int | None = Field(description="Place among goals of the same priority")
    area: str | None = Field(description="Digital area or organisational unit")
    weight: Figure | None = Field(description="Share of its parent, or of its objective")
    parent: str | None = Field(description="The business goal that it serves")
    measure_of: str | None = Field(description="V2MOM that it is a measure of")
    objective: str | None = Field(description="Objective (OKR) that it is a key result of")
    tags: list[str] = Field(description="Words to find it by")
    first_commitment: CommitmentShown | None = Field(description="What was promised first")
    commitment: CommitmentShown | None = Field(description="What is promised now")
    override: OverrideShown | None = Field(description="Why it was committed although it failed")
    verdict: VerdictShown | None = Field(description="How it was judged")


class GoalAnswer(Known):
    """A goal as known at a basis."""

    goal: Goal = Field(description="The goal")


class LetterShown(Wire):
    """One letter of SMART."""

    result: Literal["pass", "warn", "fail"] = Field(description="S, M and T must not fail")
    evidence: dict[str, Any] = Field(description="The figures that it rests on")
    advice: list[Text] = Field(description="What is so, and the mend")


class Smart(Wire):
    """A goal's SMART check."""

    goal_id: Id = Field(description="The goal")
    letters: dict[str, LetterShown] = Field(description="S, M, A, R, T")
    committable: bool = Field(description="True when no letter that blocks fails")


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
    fraction: Figure | None = Field(description="Share of the way that is done; may be negative")
    expected_fraction: Figure | None = Field(description="Share that was expected by now")
    because: list[Text] = Field(description="Why the status is what it is")
    check_in: LastCheckIn | None = Field(description="What was last believed of it")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ProgressBasis = Field(description="What it rests on")


class HistoryItem(Wire):
    """One change in words."""

    at: InstantField = Field(description="When it was recorded")
    who: str = Field(description="Who did it")
    what: Text = Field(description="What was done")
    reason: str | None = Field(description="Why")
    position: int = Field(ge=1, description="Position in the goals ledger")


class History(Known):
    """A goal's history in words, oldest first."""

    items: list[HistoryItem] = Field(description="Changes")


def shown(state: State) -> Goal:
    """A goal as the API shows it."""
    body = state.body.model_dump()
    return Goal.model_validate(
        {
            **body,
            "id": state.goal_id,
            "revision": state.revision,
            "state": state.state,
            "kind": "measured",
            "first_commitment": _commitment(state.first),
            "commitment": _commitment(state.present),
            "override": state.override.model_dump() if state.override else None,
            "verdict": _verdict(state.verdict),
        }
    )


def _commitment(made: Commitment | None) -> dict[str, Any] | None:
    if made is None:
        return None
    dumped = made.model_dump(exclude={"direction"})
    dumped["baseline"] = {k: dumped["baseline"][k] for k in ("id", "value", "periods")}
    return dumped


def _verdict(closed: GoalClosed | None) -> dict[str, Any] | None:
    return None if closed is None else closed.model_dump()
