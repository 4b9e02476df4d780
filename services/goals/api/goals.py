"""Goals: stated, checked, committed, followed and judged."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import Field, model_validator

from services.goals import commands
from services.goals.api.shapes import (
    BaselineShown,
    Goal,
    GoalAnswer,
    History,
    HistoryItem,
    LetterShown,
    Progress,
    ProgressBasis,
    ProgressTarget,
    ProgressValue,
    Smart,
    shown,
)
from services.goals.clients import MetricsClient, ValueRead
from services.goals.domain.goal import GoalBody, Override, Target, demand_committable
from services.goals.domain.smart import Letter, committable
from services.goals.domain.texts import text
from services.goals.queries import assessment
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from shared.errors import STALE, Refusal
from shared.ledger import Transaction
from shared.periods import grain_of
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Id, Key, Name, Number, PeriodName, Reason, Text, Wire

router = make_router("goals")
Audience = Literal["customer", "prospect", "stakeholder", "business"]


class TargetBody(Wire):
    """What is to be reached: exactly one of the four."""

    value: Number | None = Field(None, description="A figure to reach", examples=[0.35])
    change: Number | None = Field(None, description="A change against the baseline")
    change_percent: Number | None = Field(None, description="The same in percent of the baseline")
    band: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Lower and upper edge to stay within"
    )

    @model_validator(mode="after")
    def _one_form(self) -> TargetBody:
        given = [
            n for n in ("value", "change", "change_percent", "band") if getattr(self, n) is not None
        ]
        if len(given) != 1:
            raise ValueError("name exactly one of value, change, change_percent and band")
        if self.band is not None and self.band[0] >= self.band[1]:
            raise ValueError("the band's lower edge must lie below its upper edge")
        return self


class BaselineBody(Wire):
    """What the goal starts from: periods, or a frozen baseline."""

    periods: list[PeriodName] | None = Field(
        None, min_length=1, max_length=60, description="Periods", examples=[["2024-Q1", "2024-Q2"]]
    )
    method: Literal["pooled", "mean_of_periods", "median_of_periods"] = Field(
        "pooled", description="How several periods become one figure"
    )
    id: Id | None = Field(None, description="Or a baseline frozen in metrics")

    @model_validator(mode="after")
    def _one_form(self) -> BaselineBody:
        if (self.periods is None) == (self.id is None):
            raise ValueError("name either `periods` or `id`")
        return self


class MilestoneBody(Wire):
    """A figure on the way."""

    period: PeriodName
    value: Number = Field(description="Figure expected in that period")


class OtherCauseBody(Wire):
    """Something else that moves the metric."""

    cause: Name = Field(description="What it is: season, market, staffing, another initiative")
    share: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        None, description="Share of the change that it is given"
    )


class GoalDraft(Wire):
    """A measured goal, as it is stated."""

    kind: Literal["measured"] = Field("measured", description="Held against a metric")
    title: Name = Field(description="What is to become true", examples=["Win one deal in three"])
    metric: Key = Field(description="Key of the metric", examples=["win-rate"])
    where: dict[str, Any] | None = Field(None, description="A FILTER, besides the metric's own")
    baseline: BaselineBody = Field(description="What it starts from")
    target: TargetBody = Field(description="What is to be reached")
    target_period: PeriodName = Field(
        description="The period that is judged; `due` is its last day"
    )
    measured_over: Literal["month", "quarter", "year", "trailing", "at_end"] | None = Field(
        None, description="Length of the periods looked at; default: the baseline's"
    )
    business_owner: Name | None = Field(None, description="Whose figure it is")
    audience: Audience | None = Field(None, description="Whose value; default: the metric's")
    indicator: Literal["leading", "lagging"] | None = Field(
        None, description="Default: the metric's"
    )
    nature: Literal["value", "operational", "usage"] | None = Field(
        None, description="Default: the metric's"
    )
    priority: Literal["must", "should", "could", "later"] = Field(
        "must", description="Weight in the verdict"
    )
    phase: Name | None = Field(None, description="Phase of the initiative")
    milestones: list[MilestoneBody] = Field(
        default_factory=list, max_length=60, description="On the way"
    )
    warns_for: list[Id] = Field(
        default_factory=list, max_length=50, description="Goals whose early warning this is"
    )
    other_causes: list[OtherCauseBody] = Field(
        default_factory=list, max_length=20, description="What else moves the metric"
    )


class NewGoal(GoalDraft):
    """A measured goal of an initiative."""

    initiative_id: Id = Field(description="The initiative that it belongs to")


class OverrideBody(Wire):
    """Why a failing goal is committed all the same."""

    reason: Reason = Field(description="Why")
    responsible: Name = Field(description="Who answers for it")


class Commit(Wire):
    """A commitment."""

    override: OverrideBody | None = Field(None, description="Needed where S, M or T fails")


class Amend(Wire):
    """A change of the commitment."""

    target: TargetBody | None = Field(None, description="New target")
    target_period: PeriodName | None = Field(None, description="New target period")
    reason: Reason = Field(description="Why")


class Abandon(Wire):
    """Why a goal is given up."""

    reason: Reason = Field(description="Why")


class Close(Wire):
    """A request to judge; it needs nothing."""


def _question(caller: Caller) -> Question:
    client = caller.runtime.parts["metrics"]
    assert isinstance(client, MetricsClient)
    known_at = caller.known_at if isinstance(caller, Reader) else None
    return Question(client, caller.principal.credential, known_at)


def _today(caller: Caller, asked: Question) -> date:
    moment = asked.known_at or caller.runtime.clock.now()
    return asked.calendar().day_of(moment)


def _body(draft: GoalDraft, initiative_id: str, asked: Question) -> GoalBody:
    """The goal's statement, completed from the metric and the calendar."""
    metric, days = asked.metric(draft.metric), asked.calendar()
    stated = draft.model_dump()
    stated.pop("kind")
    first = draft.baseline.periods[0] if draft.baseline.periods else draft.target_period
    for index, name in enumerate(draft.baseline.periods or []):
        assessment.parse(name, days, f"/baseline/periods/{index}")
    for index, milestone in enumerate(draft.milestones):
        assessment.parse(milestone.period, days, f"/milestones/{index}/period")
    grain = grain_of(first)
    stated |= {
        "initiative_id": initiative_id,
        "baseline": {**stated["baseline"], "periods": draft.baseline.periods or []},
        "measured_over": draft.measured_over
        or (grain if grain in ("month", "quarter", "year") else "at_end"),
        "due": assessment.due_of(draft.target_period, days),
        **assessment.defaults_from(metric, stated),
    }
    return GoalBody.model_validate(stated)


def _smart(goal_id: str, letters: dict[str, Letter]) -> Smart:
    return Smart(
        goal_id=goal_id,
        letters={
            name: LetterShown(
                result=letter.result,
                evidence=letter.evidence,
                advice=[Text(**advice) for advice in letter.advice],
            )
            for name, letter in letters.items()
        },
        committable=committable(letters),
    )


@router.post("/goals", status_code=201, response_model=Goal)
def create_goal(
    body: NewGoal, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """State a goal of an initiative; it is a draft until it is committed.

    The metric must exist; the answer to `GET /v1/goals/{id}/smart` says what is still missing.
    """
    draft = GoalDraft.model_validate(body.model_dump(exclude={"initiative_id"}))
    stated = _body(draft, body.initiative_id, _question(caller))

    def work(transaction: Transaction) -> Answer:
        state = commands.draft_goal(transaction, stated)
        return Answer(shown(state), 201, state.revision, f"/v1/goals/{state.goal_id}")

    return caller.command(work)


@router.get("/goals")
def list_goals(
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    pages: Pages,
    initiative_id: Annotated[
        str | None, Query(max_length=36, description="Only of this one")
    ] = None,
) -> Page[Goal]:
    """List goals, oldest first."""
    with reader.view() as view:
        rows = queries.goal_list(view, initiative_id, pages.text_after(), pages.limit + 1)
        return Page(
            items=[shown(state) for state in rows[: pages.limit]],
            next_cursor=pages.next_cursor(rows, lambda state: state.goal_id),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.get("/goals/{goal_id}")
def get_goal(
    goal_id: str, response: Response, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> GoalAnswer:
    """Show a goal."""
    with reader.view() as view:
        state = queries.goal(view, goal_id)
        response.headers["ETag"] = f'"{state.revision}"'
        return GoalAnswer(
            goal=shown(state),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.put("/goals/{goal_id}", response_model=Goal)
def redraft_goal(
    goal_id: str,
    body: GoalDraft,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """State a draft anew; a committed goal is amended instead."""
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        initiative_id = queries.goal(view, goal_id).body.initiative_id
    stated = _body(body, initiative_id, _question(caller))

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        changed = commands.redraft_goal(transaction, state, stated)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.get("/goals/{goal_id}/smart")
def check_goal(goal_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]) -> Smart:
    """Check a goal letter by letter against the metric's real history."""
    asked = _question(reader)
    with reader.view() as view:
        state = queries.goal(view, goal_id)
        retrospective = queries.initiative(view, state.body.initiative_id).body.retrospective
    today = _today(reader, asked)
    letters, _, _ = assessment.smart_of(asked, state.body, today, retrospective=retrospective)
    return _smart(goal_id, letters)


@router.post("/goals/{goal_id}/commit", response_model=Goal)
def commit_goal(
    goal_id: str,
    body: Commit,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """Commit a goal: baseline, target, due date and metric version are fixed.

    A goal that fails S, M or T is refused, unless an `override` names the reason and who answers
    for it. The baseline is frozen in metrics with the caller's credential.
    """
    asked = _question(caller)
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        draft = queries.goal(view, goal_id)
        retrospective = queries.initiative(view, draft.body.initiative_id).body.retrospective
    caller.demand_revision(draft.revision)
    letters, found, metric = assessment.smart_of(
        asked, draft.body, _today(caller, asked), retrospective=retrospective
    )
    smart: dict[str, str] = {name: letter.result for name, letter in letters.items()}
    override = Override(**body.override.model_dump()) if body.override else None
    promised = draft.body
    if draft.state == "draft" and (committable(letters) or override) and found.id is None:
        if found.value is None:
            raise assessment.no_baseline(found)
        spec = promised.baseline
        found = asked.metrics.freeze_baseline(
            asked.credential, promised.metric, spec.periods, spec.method, promised.where,
            f"Baseline of the goal {promised.title!r}",
        )  # fmt: skip

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        if state.revision != draft.revision:
            raise _moved_on()
        demand_committable(state, smart, override)
        commitment = assessment.commitment_of(
            found, metric, promised.target, promised.target_period, promised.due
        )
        changed = commands.commit_goal(transaction, state, commitment, smart, override)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


def _moved_on() -> Refusal:
    return STALE.refusal("The goal was changed while it was checked; look at it again.")


@router.post("/goals/{goal_id}/amend", response_model=Goal)
def amend_goal(
    goal_id: str, body: Amend, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Change what is promised; the verdict is given against the first promise too."""
    asked = _question(caller)
    due = assessment.due_of(body.target_period, asked.calendar()) if body.target_period else None

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        present = state.present
        changes: dict[str, Any] = {}
        if present is not None and body.target is not None:
            target = Target.model_validate(body.target.model_dump())
            changes |= {"target": target, "target_value": target.resolve(present.baseline.value)}
        if body.target_period is not None:
            changes |= {"target_period": body.target_period, "due": due}
        amended = present.model_copy(update=changes) if present is not None else None
        changed = commands.amend_goal(transaction, state, amended, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.post("/goals/{goal_id}/close", response_model=Goal)
def close_goal(
    goal_id: str, body: Close, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Judge a goal by the figure of its target period, against the first and present promise."""
    asked = _question(caller)
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        judged = queries.goal(view, goal_id)
    value, basis, period = assessment.figure_of_target(asked, judged)
    today = _today(caller, asked)

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        if state.revision != judged.revision:
            raise _moved_on()
        changed = commands.close_goal(
            transaction, state, value, basis, target_period_over=period.end <= today
        )
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.post("/goals/{goal_id}/abandon", response_model=Goal)
def abandon_goal(
    goal_id: str, body: Abandon, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Give a goal up, with a reason."""

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        changed = commands.abandon_goal(transaction, state, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


def _value(value: ValueRead) -> ProgressValue:
    return ProgressValue(
        period=value.period,
        value=value.value,
        reason=value.reason,
        provisional=value.provisional,
        proof=value.proof.model_dump(),
    )


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
    asked = _question(reader)
    with reader.view() as view:
        state = queries.goal(view, goal_id)
        moment, goals_basis = view.known_at, view.basis.token
    known = Question(
        asked.metrics,
        asked.credential,
        reader.known_at if not reader.basis else moment,
        metrics_basis,
    )
    answer: dict[str, Any] = {
        "goal_id": goal_id,
        "known_at": moment,
        "baseline": None,
        "current": None,
        "running": None,
        "target": None,
        "fraction": None,
        "expected_fraction": None,
        "basis": ProgressBasis(goals=goals_basis, metrics=None),
    }
    promised = state.present
    if promised is None:
        return Progress(**answer, status="not_started", because=[Text(**text("not_committed"))])
    answer["baseline"] = BaselineShown(
        **promised.baseline.model_dump(include={"id", "value", "periods"})
    )
    answer["target"] = ProgressTarget(
        period=promised.target_period,
        value=promised.target_value,
        band=list(promised.target.band) if promised.target.band else None,
    )
    try:
        standing = assessment.progress_of(known, state, known.calendar().day_of(moment))
    except Refusal as refusal:
        if refusal.problem.status != 503:
            raise
        cause = text("no_current_value", period=promised.target_period, reason=refusal.detail)
        return Progress(**answer, status="no_data", because=[Text(**cause)])
    answer |= {
        "current": _value(standing.current),
        "running": _value(standing.running) if standing.running else None,
        "fraction": standing.reading.fraction,
        "expected_fraction": standing.reading.expected_fraction,
        "basis": ProgressBasis(goals=goals_basis, metrics=standing.metrics_basis),
    }
    because = [Text(**said) for said in standing.reading.because]
    return Progress(**answer, status=standing.reading.status, because=because)


@router.get("/goals/{goal_id}/history")
def get_goal_history(
    goal_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> History:
    """Tell in words who changed what of a goal, when and why."""
    with reader.view() as view:
        return History(
            items=[
                HistoryItem(**{**e, "what": Text(**e["what"])})
                for e in queries.history(view, goal_id)
            ],
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )
