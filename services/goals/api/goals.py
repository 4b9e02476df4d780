"""Goals: stated, checked, committed, followed and judged."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, Query, Response

from services.goals.api.drafts import AnyDraft, AnyNewGoal, DeliverableDraft, GoalDraft
from services.goals.api.shapes import (
    AnyGoal,
    GoalAnswer,
    History,
    LetterShown,
    Smart,
    shown,
    told,
)
from services.goals.clients import MetricsClient
from services.goals.commands import goals as commands
from services.goals.commands.governance import authority
from services.goals.domain.body import Decision
from services.goals.domain.goal import AnyBody, DeliverableBody, GoalBody
from services.goals.domain.goal import Goal as State
from services.goals.domain.smart import Letter, committable
from services.goals.domain.texts import text
from services.goals.queries import alignment, assessment
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from shared.errors import invalid
from shared.ledger import Transaction, View
from shared.periods import grain_of
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


def today_of(caller: Caller, asked: Question) -> date:
    """The day that it is in the organisation's calendar, as known to the caller."""
    moment = asked.known_at or caller.runtime.clock.now()
    return asked.calendar().day_of(moment)


def body_of(
    caller: Caller, draft: GoalDraft | DeliverableDraft, initiative_id: str, asked: Question
) -> AnyBody:
    """The goal's statement, completed from the metric and the calendar."""
    if isinstance(draft, DeliverableDraft):
        return _delivery(caller, draft, initiative_id, asked)
    metric, days = asked.metric(draft.metric), asked.calendar()
    if draft.nature == "value" and metric.nature == "usage":
        raise invalid("/nature", text("usage_is_not_value", metric=metric.key)["text"], "usage")
    stated = draft.model_dump(exclude={"acting_reason"})
    first = draft.baseline.periods[0] if draft.baseline.periods else draft.target_period
    for index, name in enumerate(draft.baseline.periods or []):
        assessment.parse(name, days, f"/baseline/periods/{index}")
    for index, milestone in enumerate(draft.milestones):
        assessment.parse(milestone.period, days, f"/milestones/{index}/period")
    grain = grain_of(first)
    due = assessment.due_of(draft.target_period, days)
    assessment.demand_filter(asked, metric.key, draft.where, draft.target_period, "/where")
    last = draft.baseline.periods[-1] if draft.baseline.periods else None
    stated |= {
        "horizon": alignment.horizon_of(
            draft.horizon,
            assessment.parse(last, days, "/baseline/periods").end if last else None,
            today_of(caller, asked),
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


def _delivery(
    caller: Caller, draft: DeliverableDraft, initiative_id: str, asked: Question
) -> DeliverableBody:
    budget, days = draft.budget, asked.calendar()
    today = days.day_of(caller.runtime.clock.now())
    if budget is not None and budget.metric is not None:
        metric = asked.metric(budget.metric)
        assessment.demand_money(metric, budget.currency, days)
        period = assessment.last_complete(today, "quarter", days).name
        assessment.demand_filter(asked, metric.key, budget.where, period, "/budget/where")
    stated = {
        **draft.model_dump(exclude={"acting_reason"}),
        "initiative_id": initiative_id, "indicator": "lagging",
        "nature": "operational",
        "horizon": alignment.horizon_of(draft.horizon, None, today, draft.due),
    }  # fmt: skip
    return DeliverableBody.model_validate(stated)


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


@router.post("/goals", status_code=201, response_model=AnyGoal)
def create_goal(
    body: AnyNewGoal, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """State a goal of an initiative; it is a draft until it is committed.

    A measured goal's metric must exist. The answer to `GET /v1/goals/{id}/smart` says what is still
    missing.
    """
    if (stored := caller.replayed()) is not None:
        return stored
    stated = body_of(caller, body, body.initiative_id, question(caller))

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
) -> Page[AnyGoal]:
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


@router.put("/goals/{goal_id}", response_model=AnyGoal)
def redraft_goal(
    goal_id: str,
    body: AnyDraft,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """State a draft anew; a committed goal is amended instead."""
    if (stored := caller.replayed()) is not None:
        return stored
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        before = queries.goal(view, goal_id).body
    stated = body_of(caller, body, before.initiative_id, question(caller))
    stated = stated.model_copy(update={"theme": before.theme})

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        if state.measuring or state.body.priority == "must" != stated.priority:
            # Who may not commit a must-goal must not make it another one first; and what is
            # promised to be measured is not restated by who may not promise it.
            authority_for(transaction, caller, state, "commit", body.acting_reason)
        changed = commands.redraft_goal(transaction, state, stated)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.get("/goals/{goal_id}/smart")
def check_goal(goal_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]) -> Smart:
    """Check a goal letter by letter against the metric's real history."""
    asked = question(reader)
    with reader.view() as view:
        state = queries.goal(view, goal_id)
        around = alignment.surroundings(view, state)
    today = today_of(reader, asked)
    found = assessment.smart_of(asked, state, today, around)
    return _smart(goal_id, found.letters)


def authority_for(
    view: View, caller: Caller, state: State, decision: Decision, acting_reason: str | None,
) -> str | None:  # fmt: skip
    """In whose name a caller decides about a goal; refuses with 403 who may not."""
    return authority(
        view, caller.principal, state.body.initiative_id, decision, state.body.priority,
        acting_reason, view.known_at.date(),
    )  # fmt: skip


@router.get("/goals/{goal_id}/history")
def get_goal_history(
    goal_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> History:
    """Tell in words who changed what of a goal, when and why."""
    with reader.view() as view:
        return told(view, f"goal/{goal_id}")
