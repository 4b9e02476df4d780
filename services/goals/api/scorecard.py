"""`GET /v1/scorecard`: all goals at a glance, what needs attention first."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import Field

from services.goals.api.goals import question
from services.goals.api.progress import progress_of_all
from services.goals.api.shapes import Goal, Progress, ProgressBasis, shown
from services.goals.domain.scorecard import HORIZONS, needs_attention
from services.goals.domain.smart import horizon
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from shared.ledger import View
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import InstantField, Wire

router = make_router("scorecard")
MAX_GOALS = 2_000
Grouping = Literal["horizon", "audience", "priority", "phase", "business_owner", "initiative_id"]
ShownBy = Annotated[Grouping, Query(description="What the goals are shown by")]
MetricsBasis = Annotated[
    str | None, Query(max_length=64, description="Basis of the metrics ledger to answer from")
]


class ScorecardGoal(Wire):
    """A goal and where it stands."""

    goal: Goal = Field(description="The goal")
    horizon: Literal["short", "medium", "long"] = Field(
        description="short: due within a quarter, medium: within a year, long: beyond"
    )
    progress: Progress = Field(description="Where it stands, with proof")


class ScorecardGroup(Wire):
    """Goals that have something in common."""

    name: str | None = Field(description="What they have in common; null where it is not stated")
    goals: list[ScorecardGoal] = Field(description="By the day they are due")


class Scorecard(Wire):
    """Goals at a glance, all from one basis."""

    initiative_id: str | None = Field(description="Whose goals; null for all initiatives")
    states: dict[str, int] = Field(description="Goals by state")
    statuses: dict[str, int] = Field(description="Committed goals by status")
    verdicts: dict[str, int] = Field(description="Judged goals by verdict on the present promise")
    attention: list[str] = Field(description="Goals that need attention, the most urgent first")
    groups: list[ScorecardGroup] = Field(description="All goals, grouped")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ProgressBasis = Field(description="What it rests on")


@router.get("/scorecard")
def show_scorecard(
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    by: ShownBy = "horizon",
    metrics_basis: MetricsBasis = None,
) -> Scorecard:
    """Show all goals of the organisation: what needs attention first.

    Metrics is asked once, from one basis, for all of them.
    """
    with reader.view() as view:
        return scorecard(_asked(reader, view, metrics_basis), view, None, by)


@router.get("/initiatives/{initiative_id}/scorecard")
def show_initiative_scorecard(
    initiative_id: str,
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    by: ShownBy = "horizon",
    metrics_basis: MetricsBasis = None,
) -> Scorecard:
    """Show the goals of an initiative: what needs attention first."""
    with reader.view() as view:
        queries.initiative(view, initiative_id)
        return scorecard(_asked(reader, view, metrics_basis), view, initiative_id, by)


def _asked(reader: Reader, view: View, metrics_basis: str | None) -> Question:
    asked = question(reader)
    known_at = view.known_at if reader.known_at or reader.basis else None
    return Question(asked.metrics, asked.credential, known_at, metrics_basis)


def scorecard(
    asked: Question, view: View, initiative_id: str | None, by: Grouping = "horizon"
) -> Scorecard:
    """The scorecard as known at a view."""
    goals = queries.goal_list(view, initiative_id, "", MAX_GOALS)
    found, basis = progress_of_all(asked, goals, view.known_at)
    rests_on = ProgressBasis(goals=view.basis.token, metrics=basis)
    rows = [
        ScorecardGoal.model_validate(
            {
                "goal": shown(one.goal),
                "horizon": horizon(view.known_at.date(), one.goal.body.due),
                "progress": one.shown(view.known_at, rests_on),
            }
        )
        for one in sorted(found, key=lambda one: (one.goal.body.due, one.goal.goal_id))
    ]
    committed = [one for one in found if one.goal.state == "committed"]
    judged = [goal.verdict.present for goal in goals if goal.verdict]
    return Scorecard(
        initiative_id=initiative_id,
        states=Counter(goal.state for goal in goals),
        statuses=Counter(one.status for one in committed),
        verdicts=Counter(judged),
        attention=needs_attention((one.goal, one.status) for one in found),
        groups=_grouped(rows, by),
        known_at=view.known_at,
        basis=rests_on,
    )


def _grouped(rows: list[ScorecardGoal], by: Grouping) -> list[ScorecardGroup]:
    groups: dict[str | None, list[ScorecardGoal]] = {}
    for one in rows:
        name = one.horizon if by == "horizon" else getattr(one.goal, by)
        groups.setdefault(name, []).append(one)
    order = {name: place for place, name in enumerate(HORIZONS)}
    names = sorted(groups, key=lambda name: (name is None, order.get(name or "", 0), name or ""))
    return [ScorecardGroup(name=name, goals=groups[name]) for name in names]
