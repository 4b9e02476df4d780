"""Questions to the goals ledger: states and lists."""

from __future__ import annotations

from sqlalchemy import select

from services.goals.domain.goal import (
    Goal,
    GoalCheckedIn,
)
from services.goals.domain.initiative import Initiative
from services.goals.tables import goals, initiatives
from shared.errors import NOT_FOUND
from shared.events import payload_of
from shared.ledger import View
from shared.ledger.projecting import known

# So many goals are looked at together.
MAX_GOALS = 2_000


def initiative(view: View, identity: str) -> Initiative:
    """An initiative as known at the view; refuses with 404."""
    state = view.connection.execute(
        select(initiatives.c.state).where(
            initiatives.c.tenant_id == view.tenant_id,
            initiatives.c.initiative_id == identity,
            known(initiatives, view.position),
        )
    ).scalar()
    if state is None:
        raise NOT_FOUND.refusal(f"There is no initiative {identity!r}.")
    return Initiative.model_validate_json(state)


def initiative_list(view: View, after: str, limit: int) -> list[Initiative]:
    rows = view.connection.execute(
        select(initiatives.c.state)
        .where(
            initiatives.c.tenant_id == view.tenant_id,
            initiatives.c.initiative_id > after,
            known(initiatives, view.position),
        )
        .order_by(initiatives.c.initiative_id)
        .limit(limit)
    )
    return [Initiative.model_validate_json(state) for state in rows.scalars()]


def goal(view: View, identity: str) -> Goal:
    """A goal as known at the view; refuses with 404."""
    state = view.connection.execute(
        select(goals.c.state).where(
            goals.c.tenant_id == view.tenant_id,
            goals.c.goal_id == identity,
            known(goals, view.position),
        )
    ).scalar()
    if state is None:
        raise NOT_FOUND.refusal(f"There is no goal {identity!r}.")
    return Goal.model_validate_json(state)


def goal_list(view: View, initiative_id: str | None, after: str, limit: int) -> list[Goal]:
    query = select(goals.c.state).where(
        goals.c.tenant_id == view.tenant_id,
        goals.c.goal_id > after,
        known(goals, view.position),
    )
    if initiative_id is not None:
        query = query.where(goals.c.initiative_id == initiative_id)
    rows = view.connection.execute(query.order_by(goals.c.goal_id).limit(limit))
    return [Goal.model_validate_json(state) for state in rows.scalars()]


def goals_that_warn_for(view: View, state: Goal) -> list[Goal]:
    """The goals that are early warnings of one, as far as they go on."""
    rows = view.connection.execute(
        select(goals.c.state)
        .where(
            goals.c.tenant_id == view.tenant_id,
            goals.c.state.contains(state.goal_id),
            known(goals, view.position),
        )
        .order_by(goals.c.goal_id)
    )
    named = [Goal.model_validate_json(found) for found in rows.scalars()]
    alive = [other for other in named if other.state in ("draft", "committed")]
    return [other for other in alive if state.goal_id in other.body.warns_for]


def goals_on_metric(view: View, key: str) -> list[Goal]:
    """The goals that measure by a metric."""
    rows = view.connection.execute(
        select(goals.c.state).where(
            goals.c.tenant_id == view.tenant_id,
            goals.c.metric == key,
            known(goals, view.position),
        )
    )
    return [Goal.model_validate_json(state) for state in rows.scalars()]


def check_ins(view: View, identity: str) -> list[GoalCheckedIn]:
    """What people said of a goal's chances, oldest first."""
    goal(view, identity)
    told = [payload_of(event) for event in view.stream(f"goal/{identity}")]
    return [said for said in told if isinstance(said, GoalCheckedIn)]
