"""Check-ins: what people believe of a goal, beside what its figures say."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field

from services.goals.api.progress_shapes import CheckIn
from services.goals.commands import goals as commands
from services.goals.domain.confidence import calibration
from services.goals.queries import states as queries
from services.goals.queries.states import MAX_GOALS
from shared.ledger import Transaction
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Figure, Known, Number, Wire
from shared.words import Prose

router = make_router("goals")


class NewCheckIn(Wire):
    """Somebody's view of a goal."""

    confidence: Annotated[Number, Field(ge=0, le=1)] = Field(
        description="How likely it will be reached: 0 surely not, 1 surely", examples=[0.7]
    )
    comment: Prose = Field("", description="Why")


class CheckIns(Known):
    """What people said of a goal's chances."""

    items: list[CheckIn] = Field(description="Oldest first")


class CalibrationBucket(Wire):
    """Views of about the same confidence."""

    low: Figure = Field(description="Confidence from")
    high: Figure = Field(description="... to before (the last bucket holds 1, too)")
    views: int = Field(ge=1, description="Number of views")
    confidence: Figure = Field(description="Their mean confidence")
    achieved: Figure = Field(description="Share of them whose goal was achieved")


class Calibration(Known):
    """How well people's confidence turned out, over all goals that are judged."""

    buckets: list[CalibrationBucket] = Field(description="By confidence; empty ones are left out")
    brier: Figure | None = Field(
        description="Mean of (confidence - outcome) squared: 0 perfect, 0.25 guessing; null before "
        "any goal with check-ins is judged"
    )


@router.post("/goals/{goal_id}/check-ins", status_code=201, response_model=CheckIn)
def check_in(
    goal_id: str, body: NewCheckIn, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Say how likely a committed goal is to be reached."""

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        who = caller.principal.actor
        changed = commands.check_in(transaction, state, who, body.confidence, body.comment)
        said = changed.check_in
        assert said is not None, "it was just said"
        return Answer(CheckIn.model_validate(said.model_dump()), 201, changed.revision)

    return caller.command(work)


@router.get("/goals/{goal_id}/check-ins")
def list_check_ins(
    goal_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> CheckIns:
    """List what people said of a goal's chances."""
    with reader.view() as view:
        told = queries.check_ins(view, goal_id)
        return CheckIns(
            items=[CheckIn.model_validate(said.model_dump()) for said in told],
            known_at=view.known_at, basis=view.basis.token, open=view.open,
        )  # fmt: skip


@router.get("/check-ins/calibration")
def show_calibration(reader: Annotated[Reader, Depends(reads("goals:read"))]) -> Calibration:
    """Show how well confidence turned out: of the views of 0.8, were four in five right?"""
    with reader.view() as view:
        told: list[tuple[Decimal, bool]] = []
        for goal in queries.goal_list(view, None, "", MAX_GOALS):
            if goal.verdict is not None:
                achieved = goal.verdict.present in ("achieved", "delivered")
                said = queries.check_ins(view, goal.goal_id)
                told += [(one.confidence, achieved) for one in said]
        buckets, brier = calibration(told)
        return Calibration(
            buckets=[CalibrationBucket.model_validate(vars(one)) for one in buckets],
            brier=brier, known_at=view.known_at, basis=view.basis.token, open=view.open,
        )  # fmt: skip
