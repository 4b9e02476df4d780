"""Changes to the goals ledger: initiatives stated, goals drafted, committed, amended, judged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from services.goals.domain import goal as domain
from services.goals.domain.goal import (
    Commitment,
    Goal,
    GoalBody,
    GoalDrafted,
    GoalMetricRedefined,
    Override,
)
from services.goals.domain.initiative import (
    Initiative,
    InitiativeChanged,
    InitiativeStarted,
    judge,
)
from services.goals.queries.alignment import demand_aligned
from services.goals.queries.states import goal, goal_list, goals_on_metric, initiative
from shared.events import NewEvent, Payload
from shared.follow import FollowedEvent
from shared.ids import new_id
from shared.ledger import Transaction, new_event

# So many goals an initiative may have when it is judged.
MAX_GOALS = 2_000


def start_initiative(transaction: Transaction, body: dict[str, Any]) -> Initiative:
    """State an initiative."""
    identity = new_id()
    payload = InitiativeStarted(initiative_id=identity, **body)
    transaction.record(f"initiative/{identity}", 0, [payload])
    return initiative(transaction, identity)


def change_initiative(
    transaction: Transaction, state: Initiative, changes: dict[str, Any], reason: str
) -> Initiative:
    """State an initiative anew; what is left out stays."""
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


def draft_goal(transaction: Transaction, body: GoalBody) -> Goal:
    """State a goal of an initiative."""
    initiative(transaction, body.initiative_id)
    demand_aligned(transaction, body, None)
    identity = new_id()
    transaction.record(f"goal/{identity}", 0, [GoalDrafted(goal_id=identity, body=body)])
    return goal(transaction, identity)


def redraft_goal(transaction: Transaction, state: Goal, body: GoalBody) -> Goal:
    """State a draft anew."""
    demand_aligned(transaction, body, state.goal_id)
    return _record(transaction, state, domain.redraft(state, body))


def commit_goal(
    transaction: Transaction,
    state: Goal,
    commitment: Commitment,
    smart: dict[str, str],
    override: Override | None,
    authority: str | None = None,
) -> Goal:
    """Fix what is promised; `authority` says in whose name."""
    made = domain.commit(state, commitment, smart, override)
    return _record(transaction, state, made.model_copy(update={"authority": authority}))


def amend_goal(
    transaction: Transaction, state: Goal, commitment: Commitment | None, reason: str,
    authority: str | None = None,
) -> Goal:  # fmt: skip
    """Change what is promised, with a reason."""
    made = domain.amend(state, commitment, reason)
    return _record(transaction, state, made.model_copy(update={"authority": authority}))


def close_goal(
    transaction: Transaction, state: Goal, value: Decimal, basis: str, *, target_period_over: bool
) -> Goal:
    """Judge a goal."""
    decided = domain.close(state, value, basis, target_period_over=target_period_over)
    return _record(transaction, state, decided)


def check_in(
    transaction: Transaction, state: Goal, by: str, confidence: Decimal, comment: str
) -> Goal:
    """Say how likely a goal is to be reached."""
    said = domain.check_in(state, by, transaction.known_at, confidence, comment)
    return _record(transaction, state, said)


def abandon_goal(
    transaction: Transaction, state: Goal, reason: str, authority: str | None = None
) -> Goal:
    """Give a goal up."""
    made = domain.abandon(state, reason)
    return _record(transaction, state, made.model_copy(update={"authority": authority}))


def _record(transaction: Transaction, state: Goal, payload: Payload) -> Goal:
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
