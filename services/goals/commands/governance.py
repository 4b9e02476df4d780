"""Bodies and their reviews: who may decide, what was decided, what follows."""

from __future__ import annotations

from datetime import date
from typing import Any

from services.goals.domain import body as bodies_domain
from services.goals.domain import review as reviews_domain
from services.goals.domain.body import (
    LEVELS,
    Body,
    BodyFormed,
    Decision,
    Member,
    demand_right,
)
from services.goals.domain.review import (
    Action,
    ActionAgreed,
    Decided,
    Review,
    ReviewDecided,
    ReviewHeld,
)
from services.goals.queries import records
from services.goals.queries.records import MAX_RECORDS
from services.goals.queries.states import initiative
from shared.errors import CONFLICT, FORBIDDEN
from shared.events import Payload
from shared.ids import new_id
from shared.ledger import Transaction, View
from shared.web.runtime import Principal


def form_body(
    transaction: Transaction, stated: dict[str, Any], principal: Principal,
    acting_reason: str | None,
) -> Body:  # fmt: skip
    """Form a body of an initiative; one per level, and after the first by who sits highest."""
    initiative(transaction, stated["initiative_id"])
    bodies_domain.demand_cadence(stated["cadence"], stated["first_meeting"])
    others = records.bodies(transaction, stated["initiative_id"], "", MAX_RECORDS)
    for other in others:
        if other.level == stated["level"]:
            raise CONFLICT.refusal(f"{other.name!r} is the {other.level} body already.")
    right = None
    if others:
        highest = min(others, key=lambda body: LEVELS.index(body.level))
        right = demand_seat(transaction, principal, highest, acting_reason)
    formed = BodyFormed(body_id=new_id(), **stated, authority=right)
    transaction.record(f"body/{formed.body_id}", 0, [formed])
    return records.body(transaction, formed.body_id)


def join_body(transaction: Transaction, state: Body, member: Member, right: str | None) -> Body:
    """Let somebody join; `right` says in whose name."""
    return _body(transaction, state, bodies_domain.join(state, member, right))


def leave_body(
    transaction: Transaction, state: Body, person: str, until: date, reason: str, right: str | None
) -> Body:
    """Let a member leave."""
    return _body(transaction, state, bodies_domain.leave(state, person, until, reason, right))


def _body(transaction: Transaction, state: Body, fact: Payload) -> Body:
    transaction.record(f"body/{state.record_id}", state.revision, [fact])
    return records.body(transaction, state.record_id)


def authority(
    view: View, principal: Principal, initiative_id: str, decision: Decision, priority: str,
    acting_reason: str | None, day: date, within: Body | None = None,
) -> str | None:  # fmt: skip
    """In whose name a caller decides; refuses with 403 who may not.

    An admin who is no member may act with a reason, which is recorded.
    """
    if acting_reason is not None and "admin" in principal.scopes:
        return _acting(principal, acting_reason)
    bodies = records.bodies(view, initiative_id, "", MAX_RECORDS)
    return demand_right(bodies, principal.person, decision, priority, day, within)


def demand_seat(
    view: View, principal: Principal, body: Body, acting_reason: str | None
) -> str | None:
    """In whose name a caller acts for a body; refuses who has no seat in it or above.

    Where nobody has a seat anybody may, in nobody's name. An admin says why.
    """
    if acting_reason is not None and "admin" in principal.scopes:
        return _acting(principal, acting_reason)
    place, day = LEVELS.index(body.level), view.known_at.date()
    seats = {
        member.person: f"{other.name}: {member.person} ({member.role})"
        for other in records.bodies(view, body.initiative_id, "", MAX_RECORDS)
        if LEVELS.index(other.level) <= place
        for member in other.members_on(day)
    }
    if not seats:
        return None
    if principal.person not in seats:
        raise FORBIDDEN.refusal(
            f"Only members of {body.name!r}, or of a body above it, do this; an admin may act with "
            "`acting_reason`."
        )
    return seats[principal.person]


def _acting(principal: Principal, acting_reason: str) -> str:
    return f"admin {principal.actor}: {acting_reason}"


def hold_review(transaction: Transaction, stated: dict[str, Any]) -> Review:
    """Keep what a meeting saw."""
    held = ReviewHeld(review_id=new_id(), **stated)
    transaction.record(f"review/{held.review_id}", 0, [held])
    return records.review(transaction, held.review_id)


def decide(transaction: Transaction, state: Review, decision: Decided, right: str | None) -> Review:
    """Keep a decision, and in whose name it was taken."""
    return _review(transaction, state, ReviewDecided(decision=decision, authority=right))


def agree_action(
    transaction: Transaction, state: Review, words: str, owner: str, due: date
) -> Review:
    """Keep what somebody will do."""
    action = Action(action_id=new_id(), text=words, owner=owner, due=due)
    return _review(transaction, state, ActionAgreed(action=action))


def finish_action(transaction: Transaction, state: Review, action_id: str, note: str) -> Review:
    """Say that it was done."""
    return _review(transaction, state, reviews_domain.finish(state, action_id, note))


def answer_escalation(
    transaction: Transaction, state: Review, decision_id: str, words: str, right: str | None
) -> Review:
    """Answer what was escalated."""
    return _review(transaction, state, reviews_domain.answer(state, decision_id, words, right))


def _review(transaction: Transaction, state: Review, fact: Payload) -> Review:
    transaction.record(f"review/{state.record_id}", state.revision, [fact])
    return records.review(transaction, state.record_id)
