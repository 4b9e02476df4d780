"""An initiative: the investment whose worth is in question."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

from services.goals.domain.goal import Aim, Commitment, Goal, GoalDelivered, Verdict
from services.goals.domain.judging import moved_right_way
from shared.events import Payload, event

SystemKind = Literal["crm", "erp", "bpm", "hrm", "e_commerce", "contact_centre", "other"]
Rule = Literal["moved_right_way", "beyond_noise", "target_reached"]
Outcome = Literal["successful", "unsuccessful", "undecided"]
Priority = Literal["must", "should", "could", "later"]


class Phase(BaseModel):
    """A part of a roll-out with a go-live of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    starts_on: date | None = None
    go_live: date | None = None
    ends_on: date | None = None


class SuccessRule(BaseModel):
    """How the initiative will be judged; fixed with the first commitment."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rule: Rule = "beyond_noise"
    goals: Literal["must", "all"] = "must"


class InitiativeBody(Payload):
    """All that is stated of an initiative."""

    name: str
    description: str
    system_kind: SystemKind
    sponsor: str | None
    business_owner: str | None
    project_owner: str | None
    currency: str
    go_live: date | None
    phases: list[Phase]
    success_rule: SuccessRule
    retrospective: bool
    status: Literal["planned", "running", "live", "ended"] = "planned"
    aims: list[Aim] = Field(default_factory=list)
    systems: list[str] = Field(default_factory=list)
    decided_on: date | None = None
    starts_on: date | None = None
    planned_end: date | None = None
    units: list[str] = Field(default_factory=list)
    areas: list[str] = Field(default_factory=list)


@event("initiative.started")
class InitiativeStarted(InitiativeBody):
    """An initiative was stated for the first time."""

    initiative_id: str


@event("initiative.changed")
class InitiativeChanged(InitiativeBody):
    """An initiative was stated anew."""

    reason: str


class GoalOutcome(BaseModel):
    """What a goal says to the question whether the initiative was a success.

    `first` and `present` hold it against what was promised first, and last; None: not known yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    goal_id: str
    title: str
    first: bool | None
    present: bool | None
    because: str


@event("initiative.judged")
class InitiativeJudged(Payload):
    """The initiative was judged by the rule that was fixed at the start."""

    first: Outcome
    present: Outcome
    goals: list[GoalOutcome]
    reason: str
    at: datetime


class Initiative(BaseModel):
    """An initiative as its events have left it."""

    model_config = ConfigDict(frozen=True)
    initiative_id: str
    revision: int
    body: InitiativeBody
    judgements: list[InitiativeJudged] = []


InitiativeEvent = InitiativeStarted | InitiativeChanged | InitiativeJudged


def evolve(state: Initiative | None, fact: InitiativeEvent) -> Initiative:
    """The initiative after one more event."""
    match fact:
        case InitiativeStarted():
            body = InitiativeBody(**fact.model_dump(exclude={"initiative_id"}))
            return Initiative(initiative_id=fact.initiative_id, revision=1, body=body)
        case InitiativeChanged():
            assert state is not None, "only what was started can be changed"
            body = InitiativeBody(**fact.model_dump(exclude={"reason"}))
            return state.model_copy(update={"revision": state.revision + 1, "body": body})
        case InitiativeJudged():
            assert state is not None, "only what was started can be judged"
            told = [*state.judgements, fact]
            return state.model_copy(update={"revision": state.revision + 1, "judgements": told})
        case _:
            assert_never(fact)


def judge(rule: SuccessRule, goals: Sequence[Goal], reason: str, at: datetime) -> InitiativeJudged:
    """Judge an initiative by its goals' verdicts and its own rule.

    It is successful when every goal that the rule is about has done what the rule asks, undecided
    while some of them is not judged yet and none has failed. A goal that was given up fails what
    was promised first, and is no part of what is promised now.
    """
    about = [
        g
        for g in goals
        if (g.first or g.measuring) and (rule.goals == "all" or g.body.priority == "must")
    ]
    outcomes = [_outcome(rule.rule, goal) for goal in about]
    kept = [one for one in outcomes if one.because != "abandoned"]
    return InitiativeJudged(
        first=_together([one.first for one in outcomes]),
        present=_together([one.present for one in kept]),
        goals=outcomes,
        reason=reason,
        at=at,
    )


def _outcome(rule: Rule, goal: Goal) -> GoalOutcome:
    told = {"goal_id": goal.goal_id, "title": goal.body.title}
    if goal.state == "abandoned":
        return GoalOutcome(**told, first=False, present=None, because="abandoned")
    verdict = goal.verdict
    if verdict is None or goal.first is None or goal.present is None:
        return GoalOutcome(**told, first=None, present=None, because="not_judged")
    if isinstance(verdict, GoalDelivered):
        # What was delivered moved the right way, be it late; the target is all that was promised.
        first, present = (
            said == "delivered" or rule != "target_reached"
            for said in (verdict.first, verdict.present)
        )
        return GoalOutcome(**told, first=first, present=present, because=verdict.present)
    assert isinstance(goal.first, Commitment), "a figure judges what promised one"
    assert isinstance(goal.present, Commitment), "a figure judges what promised one"
    first = _met(rule, goal.first, verdict.first, verdict.value)
    present = _met(rule, goal.present, verdict.present, verdict.value)
    return GoalOutcome(**told, first=first, present=present, because=verdict.present)


def _met(rule: Rule, promised: Commitment, said: Verdict, value: Decimal) -> bool:
    match rule:
        case "target_reached":
            return said == "achieved"
        case "beyond_noise":
            return said in ("achieved", "improved")
        case "moved_right_way":
            return said == "achieved" or moved_right_way(promised, value)


def _together(outcomes: Sequence[bool | None]) -> Outcome:
    if any(outcome is False for outcome in outcomes):
        return "unsuccessful"
    return "undecided" if not outcomes or None in outcomes else "successful"
