"""`GET /v1/goals/{id}/progress`: where a goal stands, with proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query

from services.goals.api.goals import question
from services.goals.api.shapes import (
    BaselineShown,
    Progress,
    ProgressBasis,
    ProgressTarget,
    ProgressValue,
)
from services.goals.clients import ValueRead
from services.goals.domain.confidence import differs
from services.goals.domain.goal import Commitment, Goal
from services.goals.domain.texts import text
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from services.goals.queries.standing import Standing, standings
from shared.errors import Refusal
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads

router = make_router("goals")


@router.get("/goals/{goal_id}/progress")
def get_goal_progress(
    goal_id: str,
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    metrics_basis: Annotated[
        str | None, Query(max_length=64, description="Basis of the metrics ledger to answer from")
    ] = None,
) -> Progress:
    """Show where a goal stands, by the last complete period, with proof.

    The running period is shown beside it, marked provisional. While the metrics service is down
    the status is `no_data` with the cause.
    """
    with reader.view() as view:
        state = queries.goal(view, goal_id)
        moment, goals_basis = view.known_at, view.basis.token
    known_at = moment if reader.known_at or reader.basis else None
    asked = question(reader)
    known = Question(asked.metrics, asked.credential, known_at, metrics_basis)
    (found,), basis = progress_of_all(known, [state], moment)
    return found.shown(moment, ProgressBasis(goals=goals_basis, metrics=basis))


@dataclass(frozen=True)
class Found:
    """Where a goal stands, or why nobody can say."""

    goal: Goal
    standing: Standing | None
    status: str
    because: list[dict[str, Any]]

    def shown(self, moment: datetime, basis: ProgressBasis) -> Progress:
        promised, standing = self.goal.present, self.standing
        reading = standing.reading if standing else None
        return Progress.model_validate(
            {
                "goal_id": self.goal.goal_id,
                "status": self.status,
                "baseline": _baseline(promised) if promised else None,
                "current": _value(standing.current) if standing else None,
                "running": _value(standing.running) if standing and standing.running else None,
                "target": _target(promised) if promised else None,
                "fraction": reading.fraction if reading else None,
                "expected_fraction": reading.expected_fraction if reading else None,
                "because": self.because,
                "check_in": self._check_in(),
                "known_at": moment,
                "basis": basis,
            }
        )

    def _check_in(self) -> dict[str, Any] | None:
        said = self.goal.check_in
        if said is None:
            return None
        return {**said.model_dump(), "differs": differs(said.confidence, self.status)}


def progress_of_all(
    asked: Question, goals: Sequence[Goal], moment: datetime
) -> tuple[list[Found], str | None]:
    """Where goals stand, asked at once; the basis of the metrics ledger, if it answered.

    While it does not, every committed goal has `no_data` with the cause.
    """
    committed = [goal for goal in goals if goal.present is not None]
    told: dict[str, Standing | str] = {}
    basis = None
    try:
        if committed:
            days = asked.calendar()
            found, basis = standings(asked, committed, days.day_of(moment), days)
            told = {goal.goal_id: one for goal, one in zip(committed, found, strict=True)}
    except Refusal as refusal:
        if refusal.problem.status != 503:
            raise
        told = {goal.goal_id: refusal.detail for goal in committed}
    return [_found(goal, told.get(goal.goal_id)) for goal in goals], basis


def _found(goal: Goal, told: Standing | str | None) -> Found:
    if goal.present is None:
        return Found(goal, None, "not_started", [text("not_committed")])
    if isinstance(told, Standing):
        return Found(goal, told, told.reading.status, told.reading.because)
    cause = text("no_current_value", period=goal.present.target_period, reason=told)
    return Found(goal, None, "no_data", [cause])


def _baseline(promised: Commitment) -> BaselineShown:
    frozen = promised.baseline
    return BaselineShown(id=frozen.id, value=frozen.value, periods=frozen.periods)


def _target(promised: Commitment) -> ProgressTarget:
    band = promised.target.band
    return ProgressTarget(
        period=promised.target_period,
        value=promised.target_value,
        band=list(band) if band else None,
    )


def _value(value: ValueRead) -> ProgressValue:
    return ProgressValue(
        period=value.period,
        value=value.value,
        reason=value.reason,
        provisional=value.provisional,
        proof=value.proof.model_dump(),
    )
