"""How goals hang together: parents without circles, weights that add up, horizons that fit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import partial

from services.goals.domain.factor import FACTOR, planned
from services.goals.domain.goal import AnyBody, DeliverableBody, Goal, GoalBody
from services.goals.domain.objective import OBJECTIVE
from services.goals.domain.plan import V2MOM
from services.goals.domain.smart import Surroundings, horizon
from services.goals.queries import records
from services.goals.queries.references import demand_no_circle, demand_there
from services.goals.queries.states import MAX_GOALS, goal, goal_list, initiative
from shared.errors import invalid
from shared.ledger import View


def demand_aligned(
    view: View, body: AnyBody, own_id: str | None, without: Sequence[str] = ()
) -> None:
    """Refuse what a goal serves where it is missing or leads back, and more weights than whole."""
    if body.parent is not None:
        demand_no_circle(
            body.parent, own_id, "/parent", lambda identity: goal(view, identity).body.parent
        )
    if body.measure_of is not None:
        demand_there(partial(records.statement, view, V2MOM, body.measure_of), "/measure_of")
    if body.objective is not None:
        look_up = partial(records.statement, view, OBJECTIVE, body.objective)
        if demand_there(look_up, "/objective").body.closing is not None:
            raise invalid("/objective", "This objective is closed.", "closed")
    if body.weight is not None:
        _demand_room(view, body, {own_id, *without})
    _demand_enabled(view, body)


def _demand_room(view: View, body: AnyBody, without: set[str | None]) -> None:
    """The weights of all goals of one parent, or of one objective, are at most the whole."""
    for name in ("parent", "objective"):
        shared = getattr(body, name)
        if shared is None:
            continue
        others = [
            other.body.weight
            for other in _beside(view, without)
            if getattr(other.body, name) == shared and other.body.weight is not None
        ]
        total = sum(others, body.weight or Decimal(0))
        if total > 1:
            detail = f"With this goal the weights of its {name} add up to {total:f}, more than 1."
            raise invalid("/weight", detail, "weights")


def _beside(view: View, without: set[str | None]) -> list[Goal]:
    # A parent and an objective may have goals of several initiatives.
    goals = goal_list(view, None, "", MAX_GOALS)
    return [g for g in goals if g.goal_id not in without and g.state in ("draft", "committed")]


def surroundings(view: View, state: Goal) -> Surroundings:
    """What stands around a goal: obstacles on it without owner or answer, causes known of."""
    obstacles = [
        factor.body
        for factor in records.statements(view, FACTOR, state.body.initiative_id)
        if factor.body.kind == "obstacle" and factor.body.status == "open"
    ]
    return Surroundings(
        unplanned=[o.text for o in obstacles if state.goal_id in o.goals and not planned(o)],
        acknowledged_by=state.acknowledged_by,
        retrospective=initiative(view, state.body.initiative_id).body.retrospective,
    )


def _demand_enabled(view: View, body: AnyBody) -> None:
    """Refuse a delivery that enables what is no measured goal."""
    if isinstance(body, DeliverableBody):
        for index, identity in enumerate(body.enables):
            found = demand_there(partial(goal, view, identity), f"/enables/{index}")
            if not isinstance(found.body, GoalBody):
                raise invalid(f"/enables/{index}", "Name a measured goal.", "not_measured")


def horizon_of(stated: str | None, baseline_end: date | None, today: date, due: date) -> str:
    """How far a goal looks ahead: from today, or, where its time is over, from its baseline.

    Refuses a horizon that is stated otherwise.
    """
    start = today if due >= today or baseline_end is None else baseline_end
    derived = horizon(start, due)
    if stated is not None and stated != derived:
        detail = f"The goal is due on {due}; that is a {derived} horizon, not a {stated} one."
        raise invalid("/horizon", detail, "horizon")
    return derived
