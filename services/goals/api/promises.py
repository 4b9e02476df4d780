"""What is promised of goals: committed, amended, judged, delivered, given up."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Protocol

from fastapi import Depends, Response

from services.goals.api.drafts import (
    Abandon,
    Acknowledge,
    Amend,
    Close,
    Commit,
    StepDoneBody,
    TargetBody,
)
from services.goals.api.goals import authority_for, question, today_of
from services.goals.api.shapes import AnyGoal, shown
from services.goals.clients import BaselineRead
from services.goals.commands import goals as commands
from services.goals.domain import deciding
from services.goals.domain.goal import (
    AnyPromise,
    Commitment,
    DeliverableBody,
    DeliveryPromise,
    GoalBody,
    Measuring,
    Override,
    Target,
)
from services.goals.domain.goal import Goal as State
from services.goals.domain.smart import committable
from services.goals.queries import alignment, assessment
from services.goals.queries import states as queries
from services.goals.queries.assessment import Checked, Question
from services.goals.queries.standing import spent_by
from shared.errors import CONFLICT, FORBIDDEN, STALE, Refusal, invalid
from shared.ledger import Transaction
from shared.money import DecimalString
from shared.periods import Calendar
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, writes

router = make_router("goals")


@router.post("/goals/{goal_id}/commit", response_model=AnyGoal)
def commit_goal(
    goal_id: str,
    body: Commit,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """Commit a goal: what is promised is fixed, and what it is judged by.

    Of a measured goal that is baseline, target, due date and metric version; the baseline is frozen
    in metrics with the caller's credential. A goal that fails S, M or T is refused, unless an
    `override` names the reason and who answers for it. What can't be measured yet is committed with
    `measure_first`, and once more when its baseline is measurable: then its target is promised.
    """
    if (stored := caller.replayed()) is not None:
        return stored
    asked = question(caller)
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        draft = queries.goal(view, goal_id)
        around = alignment.surroundings(view, draft)
        # Looked at here as well, so that nobody freezes a baseline who may not commit.
        authority_for(view, caller, draft, "commit", body.acting_reason)
    caller.demand_revision(draft.revision)
    today = today_of(caller, asked)
    found = assessment.smart_of(asked, draft, today, around)
    smart: dict[str, str] = {name: one.result for name, one in found.letters.items()}
    override = Override(**body.override.model_dump()) if body.override else None
    if body.measure_first is None and (committable(found.letters) or override):
        found = _with_frozen_baseline(asked, draft, found)

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        if state.revision != draft.revision:
            raise _moved_on()
        if body.measure_first is None:
            deciding.demand_committable(state, smart, override)
        right = authority_for(transaction, caller, state, "commit", body.acting_reason)
        if body.measure_first is not None:
            first = _measuring(state, found, Measuring(**body.measure_first.model_dump()))
            return _answer(commands.measure_first(transaction, state, first, smart, today, right))
        made = _promise(state, found)
        return _answer(
            commands.commit_goal(transaction, state, made, smart, override, today, right)
        )

    return caller.command(work)


def _answer(changed: State) -> Answer:
    return Answer(shown(changed), 200, changed.revision)


def _measuring(state: State, found: Checked, measuring: Measuring) -> Measuring:
    state.of_kind(GoalBody)
    if found.baseline is not None and found.baseline.value is not None:
        raise CONFLICT.refusal(
            f"The baseline is measurable: it is {found.baseline.value:f}. Commit without "
            "`measure_first`."
        )
    return measuring


def _promise(state: State, found: Checked) -> AnyPromise:
    body = state.body
    if isinstance(body, DeliverableBody):
        return DeliveryPromise(due=body.due, budget=body.budget.amount if body.budget else None)
    assert found.baseline is not None, "a measured goal was checked against its baseline"
    assert found.metric is not None, "a measured goal was checked against its metric"
    return assessment.commitment_of(
        found.baseline, found.metric, body.target, body.target_period, body.due
    )


def _with_frozen_baseline(asked: Question, state: State, found: Checked) -> Checked:
    """A goal's check, its baseline frozen in metrics unless it is already."""
    body, baseline = state.body, found.baseline
    if (
        not state.unpromised
        or not isinstance(body, GoalBody)
        or baseline is None
        or baseline.id is not None
    ):
        return found
    return Checked(found.letters, _frozen(asked, body, baseline), found.metric)


def _frozen(asked: Question, body: GoalBody, found: BaselineRead) -> BaselineRead:
    if found.value is None:
        raise assessment.no_baseline(found)
    spec = body.baseline
    return asked.metrics.freeze_baseline(
        asked.credential, body.metric, spec.periods, spec.method, body.where,
        f"Baseline of the goal {body.title!r}",
    )  # fmt: skip


def _moved_on() -> Refusal:
    return STALE.refusal("The goal was changed while it was checked; look at it again.")


class Amendment(Protocol):
    """What is to be promised instead."""

    target: TargetBody | None
    target_period: str | None
    due: date | None
    budget: DecimalString | None


def amended(state: State, change: Amendment, today: date, days: Calendar) -> AnyPromise | None:
    """What is promised after an amendment; None where nothing is promised yet.

    Refuses what is for the other kind of goal, and a day or period that is over already: its
    outcome is known.
    """
    if isinstance(state.body, DeliverableBody):
        _demand_none(change, ("target", "target_period"), "a deliverable")
        return _amended_delivery(state.present, change, today)
    _demand_none(change, ("due", "budget"), "a measured goal")
    present = state.promised
    if change.target_period is not None:
        due = assessment.due_of(change.target_period, days)
        assessment.demand_ahead(due, change.target_period, today)
    if present is None:
        return None
    changes: dict[str, Any] = {}
    if change.target is not None:
        stated = Target.model_validate(change.target.model_dump())
        changes |= {"target": stated, "target_value": stated.resolve(present.baseline.value)}
    if change.target_period is not None:
        assessment.demand_after_baseline(present, change.target_period, days)
        changes |= {"target_period": change.target_period, "due": due}
    return present.model_copy(update=changes)


def _amended_delivery(
    present: Commitment | DeliveryPromise | None, change: Amendment, today: date
) -> DeliveryPromise | None:
    if change.due is not None and change.due < today:
        raise invalid("/due", f"{change.due} is over already.", "due_past")
    if not isinstance(present, DeliveryPromise):
        return None
    changes = {"due": change.due, "budget": change.budget}
    return present.model_copy(update={k: v for k, v in changes.items() if v is not None})


def _demand_none(change: Amendment, names: tuple[str, ...], kind: str) -> None:
    for name in names:
        if getattr(change, name) is not None:
            raise invalid(f"/{name}", f"The goal is {kind}; it has no {name!r}.", "other_kind")


@router.post("/goals/{goal_id}/amend", response_model=AnyGoal)
def amend_goal(
    goal_id: str, body: Amend, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Change what is promised; the verdict is given against the first promise too."""
    if (stored := caller.replayed()) is not None:
        return stored
    days = question(caller).calendar()
    today = days.day_of(caller.runtime.clock.now())

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        right = authority_for(transaction, caller, state, "amend", body.acting_reason)
        promise = amended(state, body, today, days)
        changed = commands.amend_goal(transaction, state, promise, body.reason, right)
        return _answer(changed)

    return caller.command(work)


@router.post("/goals/{goal_id}/close", response_model=AnyGoal)
def close_goal(
    goal_id: str, body: Close, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Judge a goal against the first and the present promise.

    A measured goal is judged by the figure of its target period. A deliverable is accepted by its
    acceptor with `delivered_on`: on time or days late, within budget or over it.
    """
    if (stored := caller.replayed()) is not None:
        return stored
    asked = question(caller)
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        judged = queries.goal(view, goal_id)
    today = today_of(caller, asked)
    decide = _judging(caller, body, asked, judged, today)

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        if state.revision != judged.revision:
            raise _moved_on()
        changed = commands.record(transaction, state, decide)
        return _answer(changed)

    return caller.command(work)


def _judging(caller: Caller, body: Close, asked: Question, judged: State, today: date) -> Any:
    """The decision that closes a goal."""
    if not isinstance(judged.body, DeliverableBody):
        if body.delivered_on is not None:
            raise invalid("/delivered_on", "The goal is measured; its figure judges it.")
        value, basis, period = assessment.figure_of_target(asked, judged)
        over = period.end <= today
        return deciding.close(judged, value, basis, target_period_over=over)
    if body.delivered_on is None:
        raise invalid("/delivered_on", "Say when it was delivered.", "missing")
    who = _as(caller, judged.body.acceptor, "acceptor", body.acting_reason)
    spent, found = spent_by(asked, judged.body, today)
    value_spent = spent.value if spent else None
    return deciding.deliver(judged, body.delivered_on, today, who, body.note, value_spent, found)


def _as(caller: Caller, person: str | None, role: str, acting_reason: str | None) -> str:
    """Who does what is for one person to do; an admin who is not that person says why."""
    principal = caller.principal
    if person is None or principal.person == person:
        return principal.actor
    if acting_reason is not None and "admin" in principal.scopes:
        return f"admin {principal.actor} for {person}: {acting_reason}"
    raise FORBIDDEN.refusal(
        f"This is for the {role}, {person}, to do; an admin may act with `acting_reason`."
    )


@router.post("/goals/{goal_id}/steps", response_model=AnyGoal)
def finish_step(
    goal_id: str, body: StepDoneBody, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Say that a dated milestone of a deliverable is done."""
    if (stored := caller.replayed()) is not None:
        return stored
    today = today_of(caller, question(caller))

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        done = deciding.finish_step(state, body.title, body.on, today, body.note)
        changed = commands.record(transaction, state, done)
        return _answer(changed)

    return caller.command(work)


@router.post("/goals/{goal_id}/acknowledge-causes", response_model=AnyGoal)
def acknowledge_causes(
    goal_id: str, body: Acknowledge, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Acknowledge, as the business owner, what else moves the figure and what share is left."""

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        owner = state.body.business_owner
        who = _as(caller, owner, "business owner", body.acting_reason)
        changed = commands.record(transaction, state, deciding.acknowledge_causes(state, who))
        return _answer(changed)

    return caller.command(work)


@router.post("/goals/{goal_id}/abandon", response_model=AnyGoal)
def abandon_goal(
    goal_id: str, body: Abandon, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Give a goal up, with a reason."""

    def work(transaction: Transaction) -> Answer:
        state = queries.goal(transaction, goal_id)
        caller.demand_revision(state.revision)
        right = authority_for(transaction, caller, state, "abandon", body.acting_reason)
        changed = commands.abandon_goal(transaction, state, body.reason, right)
        return _answer(changed)

    return caller.command(work)
