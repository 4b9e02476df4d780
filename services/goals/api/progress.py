"""`GET /v1/goals/{id}/progress`: where a goal stands, with proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, Query

from services.goals.api.goals import question
from services.goals.api.progress_shapes import (
    DeliveryProgress,
    Family,
    FamilyMember,
    Progress,
    ProgressBasis,
    ProgressTarget,
    ProgressValue,
)
from services.goals.api.shapes import BaselineShown, StepShown
from services.goals.clients import ValueRead
from services.goals.domain.confidence import differs
from services.goals.domain.goal import Commitment, DeliverableBody, DeliveryPromise, Goal
from services.goals.domain.judging import beyond_noise
from services.goals.domain.texts import text
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from services.goals.queries.families import family
from services.goals.queries.standing import (
    AnyStanding,
    DeliveryStanding,
    Standing,
    standings,
)
from shared.errors import UNAVAILABLE, Refusal
from shared.web.routes import router as make_router
from shared.web.runtime import Caller, Reader, reads
from shared.web.wire import Text

router = make_router("goals")


@router.get("/goals/{goal_id}/progress")
def get_goal_progress(
    goal_id: str,
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    metrics_basis: Annotated[
        str | None, Query(max_length=64, description="Basis of the metrics ledger to answer from")
    ] = None,
    group_by: Annotated[
        str | None,
        Query(max_length=200, description="Dimension of the metric: where each member stands"),
    ] = None,
) -> Progress:
    """Show where a goal stands, by the last complete period, with proof.

    With `group_by` each member of a family (each of 200 shops) is held against its own baseline,
    with the change that the goal promises. The running period is shown beside it, marked
    provisional. While the metrics service is down the status is `no_data` with the cause.
    """
    with reader.view() as view:
        state = queries.goal(view, goal_id)
        warning = queries.goals_that_warn_for(view, state)
        moment, goals_basis = view.known_at, view.basis.token
    asked = asked_as(reader, moment, metrics_basis)
    progressed = progress_of_all(asked, [state, *warning], moment)
    found, basis = progressed.found[0], progressed.basis
    answer = found.shown(moment, ProgressBasis(goals=goals_basis, metrics=basis))
    if group_by is not None:
        same = Question(asked.metrics, asked.credential, None, basis) if basis else asked
        answer.family = _family(same, state, moment, group_by)
    return answer


def _family(asked: Question, goal: Goal, moment: datetime, dimension: str) -> Family:
    days = asked.calendar()
    members = family(asked, goal, days.day_of(moment), days, dimension)
    return Family(
        dimension=dimension,
        statuses=Counter(member.reading.status for member in members),
        members=[
            FamilyMember(
                name=member.name, status=member.reading.status,
                baseline=member.baseline, target=member.target,
                current=_value(member.current) if member.current else None,
                fraction=member.reading.fraction,
                because=[Text(**one) for one in member.reading.because],
            )
            for member in members
        ],
    )  # fmt: skip


@dataclass(frozen=True)
class Found:
    """Where a goal stands, or why nobody can say."""

    goal: Goal
    standing: AnyStanding | None
    status: str
    because: list[dict[str, Any]]
    today: date
    leading: Sequence[Found] = ()

    @property
    def score(self) -> Decimal | None:
        """Its score as a key result: the share of the way that is done, below 0 where worse.

        A band scores 1 inside and 0 outside; None while nobody can say.
        """
        promised = self.goal.promised
        if self.standing is None:
            return None
        if promised is not None and promised.target.band is not None:
            return {"on_track": Decimal(1), "off_track": Decimal(0)}.get(self.status)
        return self.standing.reading.fraction

    def shown(self, moment: datetime, basis: ProgressBasis) -> Progress:
        promised, standing = self.goal.promised, self.standing
        measured = standing if isinstance(standing, Standing) else None
        return Progress.model_validate(
            {
                "goal_id": self.goal.goal_id,
                "status": self.status,
                "baseline": _baseline(promised) if promised else None,
                "current": _value(measured.current) if measured else None,
                "running": _value(measured.running) if measured and measured.running else None,
                "target": _target(promised) if promised else None,
                "delivery": self._delivery(),
                "fraction": standing.reading.fraction if standing else None,
                "expected_fraction": standing.reading.expected_fraction if standing else None,
                "signal": self._signal(),
                "because": self.because,
                "leading": [
                    {
                        "goal_id": one.goal.goal_id,
                        "title": one.goal.body.title,
                        "status": one.status,
                    }
                    for one in self.leading
                ],
                "check_in": self._check_in(),
                "known_at": moment,
                "basis": basis,
            }
        )

    def _signal(self) -> str | None:
        promised, standing = self.goal.promised, self.standing
        if promised is None or not isinstance(standing, Standing):
            return None
        value = standing.current.value
        if value is None:
            return None
        return "beyond_noise" if beyond_noise(promised.baseline, value) else "noise"

    def _delivery(self) -> DeliveryProgress | None:
        body, promise = self.goal.body, self.goal.present
        if not isinstance(body, DeliverableBody) or not isinstance(promise, DeliveryPromise):
            return None
        done = self.goal.steps_done
        ahead = sorted((s for s in body.steps if s.title not in done), key=lambda step: step.due)
        told = self.standing if isinstance(self.standing, DeliveryStanding) else None
        return DeliveryProgress(
            due=promise.due, days_left=(promise.due - self.today).days,
            steps_done=len(done), steps=len(body.steps),
            next_step=StepShown(title=ahead[0].title, due=ahead[0].due, done_on=None)
            if ahead else None,
            budget=promise.budget, spent=_value(told.spent) if told and told.spent else None,
        )  # fmt: skip

    def _check_in(self) -> dict[str, Any] | None:
        said = self.goal.check_in
        if said is None:
            return None
        return {**said.model_dump(), "differs": differs(said.confidence, self.status)}


def asked_as(caller: Caller, moment: datetime, metrics_basis: str | None = None) -> Question:
    """A question to metrics as known when the caller asks: at a past moment, or now."""
    asked = question(caller)
    past = isinstance(caller, Reader) and (caller.known_at or caller.basis)
    return Question(asked.metrics, asked.credential, moment if past else None, metrics_basis)


@dataclass(frozen=True)
class Progressed:
    """Where goals stand, with the basis of the metrics ledger.

    The basis is None where nothing had to be asked; `answered` is false where metrics was asked and
    did not answer.
    """

    found: list[Found]
    basis: str | None
    answered: bool


def progress_of_all(asked: Question, goals: Sequence[Goal], moment: datetime) -> Progressed:
    """Where goals stand, asked at once.

    While metrics does not answer, every committed goal has `no_data` with the cause.
    """
    committed = [goal for goal in goals if goal.present is not None]
    told: dict[str, AnyStanding | str] = {}
    basis, answered, today = None, True, moment.date()
    try:
        if any(goal.present is not None or goal.measuring is not None for goal in goals):
            days = asked.calendar()
            today = days.day_of(moment)
            found, basis = standings(asked, committed, today, days)
            told = {goal.goal_id: one for goal, one in zip(committed, found, strict=True)}
    except Refusal as refusal:
        if refusal.problem.status != 503:
            raise
        answered = False
        told = {goal.goal_id: refusal.detail for goal in committed}
    all_found = [_found(goal, told.get(goal.goal_id), today) for goal in goals]
    warning: dict[str, list[Found]] = {}
    for one in all_found:
        if one.goal.state not in ("draft", "committed"):
            continue
        for identity in one.goal.body.warns_for:
            warning.setdefault(identity, []).append(one)
    warned = [replace(one, leading=warning.get(one.goal.goal_id, ())) for one in all_found]
    return Progressed(warned, basis, answered)


def demand_answer(progressed: Progressed) -> None:
    """Refuse with 503 where metrics was asked and did not answer."""
    if not progressed.answered:
        raise UNAVAILABLE.refusal(
            "The metrics service does not answer, so that nobody can say where the goals stand.",
            headers={"Retry-After": "5"},
        )


def _found(goal: Goal, told: AnyStanding | str | None, today: date) -> Found:
    if goal.present is None:
        return _not_yet(goal, today)
    if told is not None and not isinstance(told, str):
        return Found(goal, told, told.reading.status, told.reading.because, today)
    period = goal.promised.target_period if goal.promised else goal.due.isoformat()
    return Found(
        goal, None, "no_data", [text("no_current_value", period=period, reason=told)], today
    )


def _not_yet(goal: Goal, today: date) -> Found:
    """A draft, or a goal that is measured first: `stale` once its instrument is overdue."""
    measuring = goal.measuring
    if measuring is None:
        return Found(goal, None, "not_started", [text("not_committed")], today)
    by = measuring.by.isoformat()
    if measuring.by < today:
        return Found(goal, None, "stale", [text("measured_late", by=by)], today)
    said = text("measured_first", instrument=measuring.instrument, by=by)
    return Found(goal, None, "not_started", [said], today)


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
