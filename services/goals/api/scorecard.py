"""`GET /v1/scorecard`: all goals at a glance, what needs attention first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import Field

from services.goals.api.progress import Progressed, asked_as, progress_of_all
from services.goals.api.progress_shapes import Progress, ProgressBasis
from services.goals.api.shapes import AnyGoal, shown
from services.goals.domain.goal import Goal as State
from services.goals.domain.initiative import Initiative
from services.goals.domain.scorecard import HORIZONS, needs_attention
from services.goals.domain.smart import horizon
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from services.goals.queries.states import MAX_GOALS
from shared.ledger import View
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import InstantField, Wire

router = make_router("scorecard")
Grouping = Literal[
    "horizon", "audience", "priority", "phase", "business_owner", "initiative_id", "area", "aim",
    "objective",
]  # fmt: skip
ShownBy = Annotated[Grouping, Query(description="What the goals are shown by")]
MetricsBasis = Annotated[
    str | None, Query(max_length=64, description="Basis of the metrics ledger to answer from")
]


class ScorecardGoal(Wire):
    """A goal and where it stands."""

    goal: AnyGoal = Field(description="The goal")
    horizon: Literal["short", "medium", "long"] = Field(
        description="The goal's horizon; of goals from before this was kept: how far it is to go"
    )
    progress: Progress = Field(description="Where it stands, with proof")


class ScorecardGroup(Wire):
    """Goals that have something in common."""

    name: str | None = Field(description="What they have in common; null where it is not stated")
    goals: list[ScorecardGoal] = Field(description="By the day they are due")


class Scorecard(Wire):
    """Goals at a glance, all from one basis."""

    initiative_id: str | None = Field(description="Whose goals; null for all initiatives")
    retrospective: bool = Field(
        description="Whether the initiative was set up after the fact, from loaded history"
    )
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
        seen = Seen.of(view, None)
    return scorecard(asked_as(reader, seen.known_at, metrics_basis), seen, by)


@router.get("/initiatives/{initiative_id}/scorecard")
def show_initiative_scorecard(
    initiative_id: str,
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    by: ShownBy = "horizon",
    metrics_basis: MetricsBasis = None,
) -> Scorecard:
    """Show the goals of an initiative: what needs attention first."""
    with reader.view() as view:
        seen = Seen.of(view, initiative_id)
    return scorecard(asked_as(reader, seen.known_at, metrics_basis), seen, by)


@dataclass(frozen=True)
class Seen:
    """The goals as known at a view, which is left before metrics is asked about them."""

    initiative: Initiative | None
    goals: list[State]
    known_at: datetime
    basis: str

    @classmethod
    def of(cls, view: View, initiative_id: str | None) -> Seen:
        found = queries.initiative(view, initiative_id) if initiative_id is not None else None
        goals = queries.goal_list(view, initiative_id, "", MAX_GOALS)
        return cls(found, goals, view.known_at, view.basis.token)


def scorecard(asked: Question, seen: Seen, by: Grouping = "horizon") -> Scorecard:
    """The scorecard of the goals that were seen."""
    return card_of(progress_of_all(asked, seen.goals, seen.known_at), seen, by)


def card_of(progressed: Progressed, seen: Seen, by: Grouping = "horizon") -> Scorecard:
    """The scorecard of goals whose progress is known."""
    found = progressed.found
    rests_on = ProgressBasis(goals=seen.basis, metrics=progressed.basis)
    today = seen.known_at.date()
    rows = [
        ScorecardGoal.model_validate(
            {
                "goal": shown(one.goal),
                "horizon": one.goal.body.horizon or horizon(today, one.goal.due),
                "progress": one.shown(seen.known_at, rests_on),
            }
        )
        for one in sorted(found, key=lambda one: (one.goal.due, one.goal.goal_id))
    ]
    committed = [one for one in found if one.goal.state == "committed"]
    return Scorecard(
        initiative_id=seen.initiative.initiative_id if seen.initiative else None,
        retrospective=seen.initiative is not None and seen.initiative.body.retrospective,
        states=Counter(goal.state for goal in seen.goals),
        statuses=Counter(one.status for one in committed),
        verdicts=Counter(goal.verdict.present for goal in seen.goals if goal.verdict),
        attention=needs_attention((one.goal, one.status) for one in found),
        groups=_grouped(rows, by),
        known_at=seen.known_at,
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
