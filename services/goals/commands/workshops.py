"""Workshops: opened, filled with ideas, voted on, and turned into goals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.goals.commands.goals import draft_goal
from services.goals.domain import workshop as domain
from services.goals.domain.goal import AnyBody
from services.goals.domain.workshop import Workshop, WorkshopOpened
from services.goals.queries import records
from services.goals.queries.states import initiative
from shared.errors import NOT_FOUND
from shared.events import Payload
from shared.ids import new_id
from shared.ledger import Transaction


def open_workshop(transaction: Transaction, stated: dict[str, Any]) -> Workshop:
    """Open a workshop of an initiative."""
    initiative(transaction, stated["initiative_id"])
    opened = WorkshopOpened(workshop_id=new_id(), **stated)
    transaction.record(f"workshop/{opened.workshop_id}", 0, [opened])
    return records.workshop(transaction, opened.workshop_id)


def record(transaction: Transaction, state: Workshop, fact: Payload) -> Workshop:
    """Keep what happened in a workshop."""
    transaction.record(f"workshop/{state.record_id}", state.revision, [fact])
    return records.workshop(transaction, state.record_id)


def become_goals(
    transaction: Transaction, state: Workshop, theme_id: str, bodies: Sequence[AnyBody]
) -> Workshop:
    """Make drafts of goals of a theme; both keep the link."""
    demand_theme(state, theme_id)
    domain.demand_open(state)
    made = [draft_goal(transaction, body.model_copy(update={"theme": theme_id})) for body in bodies]
    fact = domain.ThemeBecameGoals(theme_id=theme_id, goals=[goal.goal_id for goal in made])
    return record(transaction, state, fact)


def demand_theme(state: Workshop, theme_id: str) -> None:
    """Refuse a theme that the workshop does not have."""
    if theme_id not in {theme.theme_id for theme in state.themes}:
        raise NOT_FOUND.refusal(f"The workshop has no theme {theme_id!r}.")
