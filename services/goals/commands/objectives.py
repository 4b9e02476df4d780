"""Closing an objective: its scores are kept, and what goes on is copied into the next period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.goals.commands import statements
from services.goals.commands.goals import draft_goal
from services.goals.domain.goal import GoalBody
from services.goals.domain.objective import OBJECTIVE, Closing, Objective
from services.goals.domain.statement import Statement
from services.goals.queries.alignment import horizon_of
from services.goals.queries.assessment import due_of
from services.goals.queries.states import goal
from shared.errors import CONFLICT, invalid
from shared.ledger import Transaction
from shared.periods import Calendar


@dataclass(frozen=True)
class Onward:
    """The period in which an objective goes on, with which key results."""

    period: str
    goals: Sequence[str]
    days: Calendar


def close(
    transaction: Transaction,
    state: Statement[Objective],
    score: Decimal | None,
    scores: Mapping[str, Decimal | None],
    onward: Onward | None,
    reason: str,
) -> Statement[Objective]:
    """Close an objective, once."""
    if state.body.closing is not None:
        raise CONFLICT.refusal("The objective is closed already.")
    following = _go_on(transaction, state, scores, onward) if onward else None
    closing = Closing(at=transaction.known_at, score=score, scores=dict(scores), next=following)
    whole = state.body.model_copy(update={"closing": closing})
    return statements.restate(transaction, OBJECTIVE, state, whole, reason)


def _go_on(
    transaction: Transaction, state: Statement[Objective], scores: Mapping[str, Decimal | None],
    onward: Onward,
) -> str:  # fmt: skip
    body = state.body.model_copy(update={"period": onward.period})
    made = statements.state(transaction, OBJECTIVE, state.initiative_id, body)
    due = due_of(onward.period, onward.days)
    today = onward.days.day_of(transaction.known_at)
    for index, identity in enumerate(onward.goals):
        if identity not in scores:
            raise invalid(f"/goes_on/{index}", "This is no key result of the objective.")
        before = goal(transaction, identity)
        horizon = horizon_of(None, None, today, due)
        changes: dict[str, Any] = {"objective": made.record_id, "due": due, "horizon": horizon}
        if isinstance(before.body, GoalBody):
            changes |= {"target_period": onward.period, "milestones": []}
            changes |= {"target": before.promised.target} if before.promised else {}
        draft_goal(transaction, before.body.model_copy(update=changes), instead_of=onward.goals)
    return made.record_id
