"""Reviews: a frozen scorecard, decisions that carry out their effect, actions, minutes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from services.goals.api.goals import question
from services.goals.api.pages import minutes_page
from services.goals.api.progress import demand_answer, progress_of_all
from services.goals.api.promises import amended
from services.goals.api.review_shapes import (
    AnswerBody,
    NewAction,
    NewDecision,
    NewReview,
    Note,
    Review,
    ReviewAnswer,
    ReviewVerified,
    shown,
)
from services.goals.api.scorecard import Scorecard, Seen, card_of
from services.goals.api.shapes import History, told
from services.goals.commands import goals as goal_commands
from services.goals.commands import governance
from services.goals.domain.body import LEVELS, Body, Decision
from services.goals.domain.review import Decided
from services.goals.domain.review import Review as State
from services.goals.queries import records
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from services.goals.queries.records import MAX_RECORDS
from shared.errors import CONFLICT, invalid
from shared.ids import new_id
from shared.language import in_language
from shared.ledger import Transaction, View
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes

router = make_router("governance")
# What a decision of a review takes of the rights about goals.
_RIGHTS: dict[str, Decision] = {"amend": "amend", "stop": "abandon", "correct": "correct"}


def _frozen(caller: Caller, initiative_id: str) -> Scorecard:
    """The scorecard as known now, read from the basis that it names, so that it comes out again."""
    now = caller.runtime.clock.now()
    first = _once_more(caller, initiative_id, now, None)
    if first.basis.metrics is None:
        return first
    return _once_more(caller, initiative_id, now, first.basis.metrics)


def _once_more(
    caller: Caller, initiative_id: str, known_at: datetime, metrics_basis: str | None
) -> Scorecard:
    """The scorecard from a past knowledge; refuses with 503 while metrics does not answer.

    What nobody saw is neither frozen nor compared.
    """
    asked = question(caller)
    known = Question(asked.metrics, asked.credential, None, metrics_basis)
    with caller.runtime.ledger.view(caller.tenant_id, known_at=known_at) as view:
        seen = Seen.of(view, initiative_id)
    with in_language("en"):
        progressed = progress_of_all(known, seen.goals, seen.known_at)
        demand_answer(progressed)
        return card_of(progressed, seen)


@router.post("/reviews", status_code=201, response_model=Review)
def hold_review(
    body: NewReview, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Keep a meeting of a body: the scorecard is frozen as it is known at this moment."""
    if (stored := caller.replayed()) is not None:
        return stored
    if body.on > caller.runtime.clock.now().date():
        raise invalid("/on", "A review is a meeting that was held; this day is still to come.")
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        met = records.body(view, body.body_id)
    card = _frozen(caller, met.initiative_id)

    def work(transaction: Transaction) -> Answer:
        stated = {
            **body.model_dump(), "initiative_id": met.initiative_id,
            "scorecard": card.model_dump(mode="json"), "known_at": card.known_at,
            "metrics_basis": card.basis.metrics,
        }  # fmt: skip
        state = governance.hold_review(transaction, stated)
        return Answer(shown(state), 201, state.revision, f"/v1/reviews/{state.record_id}")

    return caller.command(work)


@router.get("/reviews")
def list_reviews(
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    pages: Pages,
    initiative_id: Annotated[
        str | None, Query(max_length=36, description="Only of this one")
    ] = None,
) -> Page[Review]:
    """List reviews, oldest first."""
    with reader.view() as view:
        rows = records.reviews(view, initiative_id, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda state: state.record_id, shown)


@router.get("/reviews/{review_id}")
def get_review(
    review_id: str, response: Response, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> ReviewAnswer:
    """Show a review with all that it saw and decided."""
    with reader.view() as view:
        state = records.review(view, review_id)
        response.headers["ETag"] = f'"{state.revision}"'
        return ReviewAnswer(
            review=shown(state), known_at=view.known_at, basis=view.basis.token, open=view.open
        )


@router.get("/reviews/{review_id}/minutes", response_class=Response)
def show_minutes(
    review_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> Response:
    """Show a review's minutes as a page that prints."""
    with reader.view() as view:
        state = records.review(view, review_id)
        body = records.body(view, state.body_id)
        initiative = queries.initiative(view, state.initiative_id)
        return minutes_page(state, body, initiative)


@router.post("/reviews/{review_id}/verify")
def verify_review(
    review_id: str, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> ReviewVerified:
    """Compute a review's scorecard once more, from the same knowledge, and compare."""
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        state = records.review(view, review_id)
    again = _once_more(caller, state.initiative_id, state.known_at, state.metrics_basis)
    found = _differences(state.scorecard, again.model_dump(mode="json"), "")
    return ReviewVerified(identical=not found, differences=found[:100])


def _differences(before: Any, after: Any, pointer: str) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() <= after.keys():
        # What is shown since then beside it was not frozen.
        return [d for k in before for d in _differences(before[k], after[k], f"{pointer}/{k}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [d for n, (b, a) in pairs for d in _differences(b, a, f"{pointer}/{n}")]
    return [] if before == after else [pointer or "/"]


@router.post("/reviews/{review_id}/decisions", response_model=Review)
def decide(
    review_id: str, body: NewDecision, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Decide something in a review; amending and stopping take effect on the goal at once.

    The body must have the right to, and the caller must be a member of it (or an admin who says
    why). An escalation goes to the body above, which answers by a day.
    """
    if (stored := caller.replayed()) is not None:
        return stored
    days = question(caller).calendar() if body.kind == "amend" else None
    now = caller.runtime.clock.now()

    def work(transaction: Transaction) -> Answer:
        state = records.review(transaction, review_id)
        caller.demand_revision(state.revision)
        met = records.body(transaction, state.body_id)
        right = _right(transaction, caller, state, body)
        if body.kind in ("amend", "stop"):
            goal = queries.goal(transaction, body.goal_id or "")
            reason = f"Review of {state.on} ({met.name}): {body.reason}"
            if body.kind == "stop":
                goal_commands.abandon_goal(transaction, goal, reason, right)
            else:
                assert days is not None, "an amendment was read with the calendar"
                promise = amended(goal, body, days.day_of(now), days)
                goal_commands.amend_goal(transaction, goal, promise, reason, right)
        above = _above(transaction, met) if body.kind == "escalate" else None
        decided = Decided(
            decision_id=new_id(), kind=body.kind, goal_id=body.goal_id, text=body.text,
            reason=body.reason, answer_by=body.answer_by,
            escalated_to=above.record_id if above else None,
        )  # fmt: skip
        changed = governance.decide(transaction, state, decided, right)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


def _right(transaction: Transaction, caller: Caller, state: State, body: NewDecision) -> str | None:
    """In whose name the caller decides; refuses who may not."""
    needed = _RIGHTS.get(body.kind)
    if needed is None:
        return None
    priority = "should"
    if body.goal_id is not None:
        goal = queries.goal(transaction, body.goal_id)
        if goal.body.initiative_id != state.initiative_id:
            raise invalid("/goal_id", "The goal belongs to another initiative.", "other_initiative")
        priority = goal.body.priority
    return governance.authority(
        transaction, caller.principal, state.initiative_id, needed, priority, body.acting_reason,
        transaction.known_at.date(), within=records.body(transaction, state.body_id),
    )  # fmt: skip


def _above(view: View, body: Body) -> Body:
    """The body above another one; refuses where there is none."""
    place = LEVELS.index(body.level)
    others = records.bodies(view, body.initiative_id, "", MAX_RECORDS)
    above = [other for other in others if LEVELS.index(other.level) < place]
    if not above:
        raise CONFLICT.refusal(f"There is no body above {body.name!r} to escalate to.")
    return max(above, key=lambda other: LEVELS.index(other.level))


@router.post("/reviews/{review_id}/decisions/{decision_id}/answer", response_model=Review)
def answer_escalation(
    review_id: str,
    decision_id: str,
    body: AnswerBody,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """Answer what was escalated, as the body above."""

    def work(transaction: Transaction) -> Answer:
        state = records.review(transaction, review_id)
        asked = next((d for d in state.decisions if d.decision_id == decision_id), None)
        right = None
        if asked is not None and asked.escalated_to is not None:
            above = records.body(transaction, asked.escalated_to)
            right = governance.demand_seat(transaction, caller.principal, above, body.acting_reason)
        changed = governance.answer_escalation(transaction, state, decision_id, body.answer, right)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.post("/reviews/{review_id}/actions", response_model=Review)
def agree_action(
    review_id: str, body: NewAction, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Keep what somebody will do until when."""

    def work(transaction: Transaction) -> Answer:
        state = records.review(transaction, review_id)
        changed = governance.agree_action(transaction, state, body.text, body.owner, body.due)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.post("/reviews/{review_id}/actions/{action_id}/done", response_model=Review)
def finish_action(
    review_id: str,
    action_id: str,
    body: Note,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """Say that an action is done, and how it ended."""

    def work(transaction: Transaction) -> Answer:
        state = records.review(transaction, review_id)
        changed = governance.finish_action(transaction, state, action_id, body.note)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.get("/reviews/{review_id}/history")
def get_review_history(
    review_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> History:
    """Tell in words what was decided, answered and agreed in a review, when and by whom."""
    with reader.view() as view:
        return told(view, f"review/{review_id}")
