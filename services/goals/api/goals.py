"""Goals: stated, checked, committed, followed and judged."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from services.goals.api.drafts import (
    Abandon,
    Amend,
    Close,
    Commit,
    GoalDraft,
    NewGoal,
    TargetBody,
)
from services.goals.api.shapes import (
    Goal,
    GoalAnswer,
    History,
    HistoryItem,
    LetterShown,
    Smart,
    shown,
)
from services.goals.clients import BaselineRead, MetricsClient
from services.goals.commands import goals as commands
from services.goals.commands.governance import authority
from services.goals.domain.body import Decision
from services.goals.domain.goal import Commitment, GoalBody, Override, Target, demand_committable
from services.goals.domain.goal import Goal as State
from services.goals.domain.smart import Letter, committable
from services.goals.queries import alignment, assessment
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from shared.errors import STALE, Refusal
from shared.ledger import Transaction
from shared.periods import Calendar, grain_of
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Text

router = make_router("goals")


def question(caller: Caller) -> Question:
    client = caller.runtime.parts["metrics"]
    assert isinstance(client, MetricsClient)
    known_at = caller.known_at if isinstance(caller, Reader) else None
    return Question(client, caller.principal.credential, known_at)


def _today(caller: Caller, asked: Question) -> date:
    moment = asked.known_at or caller.runtime.clock.now()
    return asked.calendar().day_of(moment)


def _body(caller: Caller, draft: GoalDraft, initiative_id: str, asked: Question) -> GoalBody:
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
    due = assessment.due_of(draft.target_period, days)
    last = draft.baseline.periods[-1] if draft.baseline.periods else None
    stated |= {
        "horizon": alignment.horizon_of(
            draft.horizon,
            assessment.parse(last, days, "/baseline/periods").end if last else None,
            _today(caller, asked),
            due,
        ),
        "initiative_id": initiative_id,
        "baseline": {**stated["baseline"], "periods": draft.baseline.periods or []},
        "measured_over": draft.measured_over
        or (grain if grain in ("month", "quarter", "year") else "at_end"),
        "due": due,
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
    if (stored := caller.replayed()) is not None:
        return stored
    draft = GoalDraft.model_validate(body.model_dump(exclude={"initiative_id"}))
    stated = _body(caller, draft, body.initiative_id, question(caller))

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
        return pages.page(view, rows, lambda state: state.goal_id, shown)


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
    if (stored := caller.replayed()) is not None:
        return stored
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        initiative_id = queries.goal(view, goal_id).body.initiative_id
    stated = _body(caller, body, initiative_id, question(caller))

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        if state.body.priority == "must" != stated.priority:
            # Who may not commit a must-goal must not make it another one first.
            authority_for(transaction, caller, state, "commit", None)
        changed = commands.redraft_goal(transaction, state, stated)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.get("/goals/{goal_id}/smart")
def check_goal(goal_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]) -> Smart:
    """Check a goal letter by letter against the metric's real history."""
    asked = question(reader)
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
    if (stored := caller.replayed()) is not None:
        return stored
    asked = question(caller)
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
        found = _frozen(asked, promised, found)

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        if state.revision != draft.revision:
            raise _moved_on()
        demand_committable(state, smart, override)
        right = authority_for(transaction, caller, state, "commit", body.acting_reason)
        commitment = assessment.commitment_of(
            found, metric, promised.target, promised.target_period, promised.due
        )
        changed = commands.commit_goal(transaction, state, commitment, smart, override, right)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


def _frozen(asked: Question, promised: GoalBody, found: BaselineRead) -> BaselineRead:
    """A goal's baseline, frozen in metrics."""
    if found.value is None:
        raise assessment.no_baseline(found)
    spec = promised.baseline
    return asked.metrics.freeze_baseline(
        asked.credential, promised.metric, spec.periods, spec.method, promised.where,
        f"Baseline of the goal {promised.title!r}",
    )  # fmt: skip


def _moved_on() -> Refusal:
    return STALE.refusal("The goal was changed while it was checked; look at it again.")


def authority_for(
    transaction: Transaction, caller: Caller, state: State, decision: Decision,
    acting_reason: str | None,
) -> str | None:  # fmt: skip
    """In whose name a caller decides about a goal; refuses with 403 who may not."""
    return authority(
        transaction, caller.principal, state.body.initiative_id, decision, state.body.priority,
        acting_reason, transaction.known_at.date(),
    )  # fmt: skip


def demand_ahead(caller: Caller, target_period: str | None, days: Calendar) -> None:
    """Refuse to move a promise into a period that is over."""
    if target_period is not None:
        today = days.day_of(caller.runtime.clock.now())
        assessment.demand_ahead(assessment.due_of(target_period, days), target_period, today)


def amended(
    present: Commitment | None, target: TargetBody | None, target_period: str | None,
    days: Calendar,
) -> Commitment | None:  # fmt: skip
    """What is promised after an amendment; None where nothing is promised yet."""
    if present is None:
        return None
    changes: dict[str, Any] = {}
    if target is not None:
        stated = Target.model_validate(target.model_dump())
        changes |= {"target": stated, "target_value": stated.resolve(present.baseline.value)}
    if target_period is not None:
        assessment.demand_after_baseline(present, target_period, days)
        due = assessment.due_of(target_period, days)
        changes |= {"target_period": target_period, "due": due}
    return present.model_copy(update=changes)


@router.post("/goals/{goal_id}/amend", response_model=Goal)
def amend_goal(
    goal_id: str, body: Amend, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Change what is promised; the verdict is given against the first promise too."""
    if (stored := caller.replayed()) is not None:
        return stored
    asked = question(caller)
    days = asked.calendar()
    demand_ahead(caller, body.target_period, days)

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        right = authority_for(transaction, caller, state, "amend", body.acting_reason)
        promise = amended(state.present, body.target, body.target_period, days)
        changed = commands.amend_goal(transaction, state, promise, body.reason, right)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.post("/goals/{goal_id}/close", response_model=Goal)
def close_goal(
    goal_id: str, body: Close, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Judge a goal by the figure of its target period, against the first and present promise."""
    if (stored := caller.replayed()) is not None:
        return stored
    asked = question(caller)
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
        right = authority_for(transaction, caller, state, "abandon", body.acting_reason)
        changed = commands.abandon_goal(transaction, state, body.reason, right)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


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
