"""A review: a dated meeting of a body with what it saw, what it decided and what follows."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict

from shared.errors import CONFLICT, NOT_FOUND
from shared.events import Payload, event

DecisionKind = Literal["amend", "correct", "stop", "continue", "remove_roadblock", "escalate"]


class Decided(BaseModel):
    """A decision of a review; an escalation waits for an answer from above by a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    decision_id: str
    kind: DecisionKind
    goal_id: str | None
    text: str
    reason: str
    answer_by: date | None = None
    escalated_to: str | None = None
    answer: str | None = None


class Action(BaseModel):
    """Something that somebody does until a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    action_id: str
    text: str
    owner: str
    due: date
    done: str | None = None


@event("review.held")
class ReviewHeld(Payload):
    """A body met; the scorecard that it saw is frozen."""

    review_id: str
    initiative_id: str
    body_id: str
    on: date
    attendance: list[str]
    notes: str
    feedback: list[str]
    scorecard: dict[str, Any]
    known_at: datetime
    metrics_basis: str | None


@event("review.decided")
class ReviewDecided(Payload):
    """Something was decided in a review."""

    decision: Decided
    authority: str | None = None


@event("review.answered")
class EscalationAnswered(Payload):
    """The body above has answered what was escalated to it."""

    decision_id: str
    answer: str
    authority: str | None = None


@event("review.action_agreed")
class ActionAgreed(Payload):
    """Somebody will do something."""

    action: Action


@event("review.action_done")
class ActionDone(Payload):
    """Somebody has done it."""

    action_id: str
    note: str


ReviewEvent = ReviewHeld | ReviewDecided | EscalationAnswered | ActionAgreed | ActionDone


class Review(BaseModel):
    """A review as its events have left it."""

    model_config = ConfigDict(frozen=True)
    record_id: str
    initiative_id: str
    revision: int
    body_id: str
    on: date
    attendance: list[str]
    notes: str
    feedback: list[str]
    scorecard: dict[str, Any]
    known_at: datetime
    metrics_basis: str | None
    decisions: list[Decided] = []
    actions: list[Action] = []


def evolve(state: Review | None, fact: ReviewEvent) -> Review:
    """The review after one more event."""
    if isinstance(fact, ReviewHeld):
        told = fact.model_dump(exclude={"review_id"})
        return Review(record_id=fact.review_id, revision=1, **told)
    assert state is not None, "a review is held first"
    decisions, actions = state.decisions, state.actions
    match fact:
        case ReviewDecided():
            decisions = [*decisions, fact.decision]
        case EscalationAnswered():
            decisions = [
                one.model_copy(update={"answer": fact.answer})
                if one.decision_id == fact.decision_id
                else one
                for one in decisions
            ]
        case ActionAgreed():
            actions = [*actions, fact.action]
        case ActionDone():
            actions = [
                one.model_copy(update={"done": fact.note})
                if one.action_id == fact.action_id
                else one
                for one in actions
            ]
        case _:
            assert_never(fact)
    changed = {"revision": state.revision + 1, "decisions": decisions, "actions": actions}
    return state.model_copy(update=changed)


def answer(
    state: Review, decision_id: str, words: str, authority: str | None = None
) -> EscalationAnswered:
    """Answer what was escalated, once."""
    found = next((one for one in state.decisions if one.decision_id == decision_id), None)
    if found is None:
        raise NOT_FOUND.refusal(f"The review has no decision {decision_id!r}.")
    if found.kind != "escalate" or found.answer is not None:
        raise CONFLICT.refusal("Only an escalation that is not answered yet is answered.")
    return EscalationAnswered(decision_id=decision_id, answer=words, authority=authority)


def finish(state: Review, action_id: str, note: str) -> ActionDone:
    """Say that an action is done, once."""
    found = next((one for one in state.actions if one.action_id == action_id), None)
    if found is None:
        raise NOT_FOUND.refusal(f"The review has no action {action_id!r}.")
    if found.done is not None:
        raise CONFLICT.refusal(f"The action is done already: {found.done}")
    return ActionDone(action_id=action_id, note=note)
