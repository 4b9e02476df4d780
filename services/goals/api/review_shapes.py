"""Wire shapes of reviews."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from services.goals.api.drafts import ActingReason, Cost, TargetBody
from services.goals.domain.review import Review as State
from services.goals.domain.texts import told_again
from shared.web.wire import InstantField, Known, PeriodName, Wire
from shared.words import Id, Name, Prose, Reason

DecisionKind = Literal["amend", "correct", "stop", "continue", "remove_roadblock", "escalate"]
_ABOUT_A_GOAL = ("amend", "stop")


class NewReview(Wire):
    """A meeting of a body."""

    body_id: Id = Field(description="The body that met")
    on: date = Field(description="Day of the meeting; not in the future")
    attendance: list[Name] = Field(max_length=100, min_length=1, description="Who was there")
    notes: Prose = Field("", description="What was said")
    feedback: list[Prose] = Field(
        default_factory=list, max_length=100, description="Feedback of users that was cited"
    )


class NewDecision(Wire):
    """What a body decides in a review."""

    kind: DecisionKind = Field(
        description="amend and stop carry out their effect on the goal; escalate waits for an "
        "answer of the body above"
    )
    text: Prose = Field(description="What is decided")
    reason: Reason = Field(description="Why")
    goal_id: Id | None = Field(None, description="The goal that it is about")
    target: TargetBody | None = Field(None, description="With amend: the new target")
    target_period: PeriodName | None = Field(None, description="With amend: the new target period")
    due: date | None = Field(None, description="With amend, of a deliverable: the new due date")
    budget: Cost | None = Field(None, description="With amend, of a deliverable: the new budget")
    answer_by: date | None = Field(None, description="With escalate: day by which it is answered")
    acting_reason: ActingReason = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> NewDecision:
        changes = (self.target, self.target_period, self.due, self.budget)
        if any(change is not None for change in changes) != (self.kind == "amend"):
            raise ValueError(
                "`target`, `target_period`, `due` and `budget` go with amend, and amend needs one"
            )
        if (self.answer_by is not None) != (self.kind == "escalate"):
            raise ValueError("`answer_by` goes with escalate, and escalate needs it")
        if self.kind in _ABOUT_A_GOAL and self.goal_id is None:
            raise ValueError(f"{self.kind} is about a goal: name its `goal_id`")
        return self


class NewAction(Wire):
    """What somebody will do."""

    text: Prose = Field(description="What is to be done", min_length=1)
    owner: Name = Field(description="Who does it")
    due: date = Field(description="Until when")


class Note(Wire):
    """What there is to say of it."""

    note: Annotated[Prose, Field(min_length=1)] = Field(description="How it ended")


class AnswerBody(Wire):
    """What the body above answers."""

    answer: Annotated[Prose, Field(min_length=1)] = Field(description="What it says")
    acting_reason: ActingReason = None


class DecisionShown(Wire):
    """A decision of a review."""

    id: Id = Field(description="Id")
    kind: DecisionKind = Field(description="What kind of decision")
    goal_id: str | None = Field(description="The goal that it is about")
    text: str = Field(description="What was decided")
    reason: str = Field(description="Why")
    answer_by: date | None = Field(description="Day by which the body above answers")
    escalated_to: str | None = Field(description="Id of that body; null where there is none")
    answer: str | None = Field(description="What it answered")


class ActionShown(Wire):
    """Something that somebody does."""

    id: Id = Field(description="Id")
    text: str = Field(description="What is to be done")
    owner: str = Field(description="Who does it")
    due: date = Field(description="Until when")
    done: str | None = Field(description="How it ended; null while it is open")


class Review(NewReview):
    """A review."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Number of changes; the ETag")
    initiative_id: Id = Field(description="The initiative that was reviewed")
    scorecard: dict[str, Any] = Field(
        description="All goals as they were known then (the shape of GET .../scorecard), frozen"
    )
    scorecard_known_at: InstantField = Field(description="The moment that it is frozen at")
    metrics_basis: str | None = Field(description="Basis of the metrics ledger that it rests on")
    decisions: list[DecisionShown] = Field(description="What was decided")
    actions: list[ActionShown] = Field(description="What follows")


class ReviewAnswer(Known):
    """A review as known at a basis."""

    review: Review = Field(description="The review")


class ReviewVerified(Wire):
    """Whether a review's scorecard comes out the same again."""

    identical: bool = Field(description="True when every figure and proof is the same")
    differences: list[str] = Field(description="Pointers to what is different")


def shown(state: State) -> Review:
    """A review as the API shows it."""
    told = state.model_dump(exclude={"record_id", "known_at", "decisions", "actions"})
    decisions = [
        {"id": one.decision_id, **one.model_dump(exclude={"decision_id"})}
        for one in state.decisions
    ]
    actions = [
        {"id": one.action_id, **one.model_dump(exclude={"action_id"})} for one in state.actions
    ]
    return Review.model_validate(
        {**told, "id": state.record_id, "scorecard": told_again(state.scorecard),
         "scorecard_known_at": state.known_at,
         "decisions": decisions, "actions": actions}
    )  # fmt: skip
