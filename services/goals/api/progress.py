"""`GET /v1/goals/{id}/progress`: where a goal stands, with proof."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

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
from services.goals.domain.goal import Commitment, Goal
from services.goals.domain.texts import text
from services.goals.queries import assessment
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question, Standing
from shared.errors import Refusal
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import Text

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
    promised = state.present
    if promised is None:
        basis = ProgressBasis(goals=goals_basis, metrics=None)
        return _without_figures(state, moment, basis, "not_started", text("not_committed"))
    asked = question(reader)
    known_at = moment if reader.known_at or reader.basis else None
    known = Question(asked.metrics, asked.credential, known_at, metrics_basis)
    try:
        standing = assessment.progress_of(known, state, known.calendar().day_of(moment))
    except Refusal as refusal:
        if refusal.problem.status != 503:
            raise
        cause = text("no_current_value", period=promised.target_period, reason=refusal.detail)
        basis = ProgressBasis(goals=goals_basis, metrics=None)
        return _without_figures(state, moment, basis, "no_data", cause)
    basis = ProgressBasis(goals=goals_basis, metrics=standing.metrics_basis)
    return _with_figures(state, promised, moment, basis, standing)


def _with_figures(
    state: Goal, promised: Commitment, moment: datetime, basis: ProgressBasis, standing: Standing
) -> Progress:
    reading = standing.reading
    return Progress(
        goal_id=state.goal_id,
        status=reading.status,
        baseline=_baseline(promised),
        current=_value(standing.current),
        running=_value(standing.running) if standing.running else None,
        target=_target(promised),
        fraction=reading.fraction,
        expected_fraction=reading.expected_fraction,
        because=[Text(**said) for said in reading.because],
        known_at=moment,
        basis=basis,
    )


def _without_figures(
    state: Goal, moment: datetime, basis: ProgressBasis, status: str, because: dict[str, object]
) -> Progress:
    promised = state.present
    return Progress.model_validate(
        {
            "goal_id": state.goal_id,
            "status": status,
            "baseline": _baseline(promised) if promised else None,
            "current": None,
            "running": None,
            "target": _target(promised) if promised else None,
            "fraction": None,
            "expected_fraction": None,
            "because": [because],
            "known_at": moment,
            "basis": basis,
        }
    )


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
