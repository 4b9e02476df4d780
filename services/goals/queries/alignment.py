"""How goals hang together: parents without circles, weights that add up, horizons that fit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from services.goals.domain.goal import Goal, GoalBody
from services.goals.domain.smart import horizon
from services.goals.queries.states import goal, goal_list
from shared.errors import NOT_FOUND, Refusal, invalid
from shared.ledger import View

MAX_GOALS = 2_000


def demand_aligned(view: View, body: GoalBody, own_id: str | None) -> None:
    """Refuse a parent that is missing or leads back, and weights that are more than the whole."""
    if body.parent is not None:
        _demand_no_circle(view, body.parent, own_id)
    if body.weight is not None:
        _demand_room(view, body, own_id)


def _demand_no_circle(view: View, parent: str, own_id: str | None) -> None:
    place, passed = parent, set[str]()
    while place not in passed:
        if place == own_id:
            raise invalid(
                "/parent", "The goal would serve itself; parents form no circle.", "circle"
            )
        passed.add(place)
        try:
            above = goal(view, place).body.parent
        except Refusal as error:
            if error.problem is not NOT_FOUND:
                raise
            raise invalid("/parent", f"There is no goal {place!r}.", "unknown_goal") from error
        if above is None:
            return
        place = above


def _demand_room(view: View, body: GoalBody, own_id: str | None) -> None:
    """The weights of all goals of one parent, or of one objective, are at most the whole."""
    for name in ("parent", "objective"):
        shared = getattr(body, name)
        if shared is None:
            continue
        others = [
            other.body.weight
            for other in _beside(view, body, name, own_id)
            if getattr(other.body, name) == shared and other.body.weight is not None
        ]
        total = sum(others, body.weight or Decimal(0))
        if total > 1:
            detail = f"With this goal the weights of its {name} add up to {total:f}, more than 1."
            raise invalid("/weight", detail, "weights")


def _beside(view: View, body: GoalBody, name: str, own_id: str | None) -> list[Goal]:
    # A parent may have goals of several initiatives; an objective's name means one in its own.
    initiative_id = body.initiative_id if name == "objective" else None
    goals = goal_list(view, initiative_id, "", MAX_GOALS)
    return [g for g in goals if g.goal_id != own_id and g.state in ("draft", "committed")]


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
