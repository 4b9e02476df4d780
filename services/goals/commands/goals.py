"""Changes to the goals ledger: initiatives stated, goals drafted, committed, amended, judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from services.goals.domain import deciding
from services.goals.domain.goal import (
    AnyBody,
    AnyPromise,
    Goal,
    GoalDrafted,
    GoalMetricRedefined,
    Measuring,
    Override,
)
from services.goals.domain.initiative import (
    Initiative,
    InitiativeChanged,
    InitiativeStarted,
    judge,
)
from services.goals.queries.alignment import demand_aligned
from services.goals.queries.states import MAX_GOALS, goal, goal_list, goals_on_metric, initiative
from shared.errors import CONFLICT
from shared.events import NewEvent, Payload
from shared.follow import FollowedEvent
from shared.ids import new_id
from shared.ledger import Transaction, new_event


def start_initiative(transaction: Transaction, body: dict[str, Any]) -> Initiative:
    """State an initiative."""
    identity = new_id()
    payload = InitiativeStarted(initiative_id=identity, **body)
    transaction.record(f"initiative/{identity}", 0, [payload])
    return initiative(transaction, identity)


def change_initiative(
    transaction: Transaction, state: Initiative, changes: dict[str, Any], reason: str
) -> Initiative:
    """State an initiative anew; what is left out stays.

    Its success rule is fixed with the first commitment.
    """
    if "success_rule" in changes and any(
        goal.state != "draft" for goal in goal_list(transaction, state.initiative_id, "", MAX_GOALS)
    ):
        raise CONFLICT.refusal("The success rule was fixed with the first commitment.")
    body = {**state.body.model_dump(), **changes}
    payload = InitiativeChanged(**body, reason=reason)
    transaction.record(f"initiative/{state.initiative_id}", state.revision, [payload])
    return initiative(transaction, state.initiative_id)


def judge_initiative(transaction: Transaction, state: Initiative, reason: str) -> Initiative:
    """Judge an initiative by its success rule: at its exit, and again after the lag."""
    goals = goal_list(transaction, state.initiative_id, "", MAX_GOALS)
    payload = judge(state.body.success_rule, goals, reason, transaction.known_at)
    transaction.record(f"initiative/{state.initiative_id}", state.revision, [payload])
    return initiative(transaction, state.initiative_id)


def draft_goal(transaction: Transaction, body: AnyBody, instead_of: Sequence[str] = ()) -> Goal:
    """State a goal of an initiative; it may take the place, and the weight, of others."""
    initiative(transaction, body.initiative_id)
    demand_aligned(transaction, body, None, instead_of)
    identity = new_id()
    transaction.record(f"goal/{identity}", 0, [GoalDrafted(goal_id=identity, body=body)])
    return goal(transaction, identity)


def redraft_goal(transaction: Transaction, state: Goal, body: AnyBody) -> Goal:
    """State a draft anew."""
    demand_aligned(transaction, body, state.goal_id)
    return record(transaction, state, deciding.redraft(state, body))


def commit_goal(
    transaction: Transaction,
    state: Goal,
    promise: AnyPromise,
    smart: dict[str, str],
    override: Override | None,
    today: date,
    authority: str | None = None,
) -> Goal:
    """Fix what is promised; `authority` says in whose name."""
    made = deciding.commit(state, promise, smart, override, today)
    return record(transaction, state, made.model_copy(update={"authority": authority}))


def measure_first(
    transaction: Transaction, state: Goal, measuring: Measuring, smart: dict[str, str],
    today: date, authority: str | None = None,
) -> Goal:  # fmt: skip
    """Commit to measure first, and to promise a target then."""
    made = deciding.measure_first(state, measuring, smart, today)
    return record(transaction, state, made.model_copy(update={"authority": authority}))


def amend_goal(
    transaction: Transaction, state: Goal, commitment: AnyPromise | None, reason: str,
    authority: str | None = None,
) -> Goal:  # fmt: skip
    """Change what is promised, with a reason."""
    made = deciding.amend(state, commitment, reason)
    return record(transaction, state, made.model_copy(update={"authority": authority}))


def check_in(
    transaction: Transaction, state: Goal, by: str, confidence: Decimal, comment: str
) -> Goal:
    """Say how likely a goal is to be reached."""
    said = deciding.check_in(state, by, transaction.known_at, confidence, comment)
    return record(transaction, state, said)


def abandon_goal(
    transaction: Transaction, state: Goal, reason: str, authority: str | None = None
) -> Goal:
    """Give a goal up."""
    made = deciding.abandon(state, reason)
    return record(transaction, state, made.model_copy(update={"authority": authority}))


def record(transaction: Transaction, state: Goal, payload: Payload) -> Goal:
    """Keep what was decided of a goal."""
    transaction.record(f"goal/{state.goal_id}", state.revision, [payload])
    return goal(transaction, state.goal_id)


def note_redefined_metric(transaction: Transaction, event: FollowedEvent) -> list[NewEvent]:
    """What a metric's new version means here: its committed goals keep theirs, and say so."""
    if event.type != "metric.defined" or event.data["version"] == 1:
        return []
    payload = GoalMetricRedefined(metric=event.data["key"], version=event.data["version"])
    return [
        new_event(
            payload,
            source="/goals",
            event_id=f"{state.goal_id}/{event.id}",
            stream=f"goal/{state.goal_id}",
            revision=state.revision + 1,
            subject=f"goal/{state.goal_id}",
            occurred_at=transaction.known_at,
        )
        for state in goals_on_metric(transaction, payload.metric)
        if state.state == "committed"
    ]
