"""Governance bodies: who meets at which level, how often, and what they may decide."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import Depends, Query, Response
from pydantic import Field

from services.goals.api.drafts import ActingReason
from services.goals.api.shapes import History, told
from services.goals.commands import governance
from services.goals.domain.body import CADENCE, next_meeting
from services.goals.domain.body import Body as State
from services.goals.domain.body import Member as MemberState
from services.goals.queries import records
from services.goals.queries.records import MAX_RECORDS
from shared.ledger import Transaction, View
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Known, Wire
from shared.words import Id, Name, Reason

router = make_router("governance")
Level = Literal["steering", "operating", "execution"]


class Member(Wire):
    """A person in a body."""

    person: Name = Field(description="As the person's keys name them", examples=["Ann"])
    side: Literal["own", "vendor", "partner"] = Field("own", description="Whose person it is")
    role: Literal[
        "sponsor", "business_owner", "technical_account_manager", "value_consultant",
        "project_lead", "user", "other",
    ] = Field("other", description="What the person is there for")  # fmt: skip
    since: date = Field(description="First day")
    until: date | None = Field(None, description="Day from which the person is no member")


class BodyFields(Wire):
    """What is stated of a body."""

    initiative_id: Id = Field(description="The initiative that it governs")
    level: Level = Field(
        description="steering: commits, amends and abandons must-goals; operating: the others, and "
        "corrections; execution: records"
    )
    name: Name = Field(description="Its name", examples=["Steering group"])
    cadence: Annotated[str, Field(pattern=CADENCE)] = Field(
        "FREQ=MONTHLY;INTERVAL=3",
        description="How often it meets: an RRULE (RFC 5545) of FREQ (DAILY, WEEKLY, MONTHLY, "
        "YEARLY), INTERVAL, BYMONTH, and BYDAY or BYMONTHDAY, in this order",
        examples=["FREQ=MONTHLY;INTERVAL=3", "FREQ=MONTHLY;BYDAY=1TU"],
    )
    first_meeting: date = Field(description="When it meets first")
    members: list[Member] = Field(
        default_factory=list, max_length=100, description="Who sits there"
    )


class NewBody(BodyFields):
    """A body to be formed."""

    acting_reason: ActingReason = None


class Joining(Member):
    """Who joins a body."""

    acting_reason: ActingReason = None


class Leaving(Wire):
    """Who leaves a body, and why."""

    acting_reason: ActingReason = None

    person: Name = Field(description="Who leaves")
    until: date = Field(description="Day from which the person is no member")
    reason: Reason = Field(description="Why")


class Body(BodyFields):
    """A body."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Number of changes; the ETag")
    next_meeting: date = Field(description="Day by which it meets again, by its cadence")
    overdue: bool = Field(description="Whether that day has passed")


class BodyAnswer(Known):
    """A body as known at a basis."""

    body: Body = Field(description="The body")


def _shown(view: View, state: State) -> Body:
    held = [
        review.on
        for review in records.reviews(view, state.initiative_id, "", MAX_RECORDS)
        if review.body_id == state.record_id
    ]
    meets = next_meeting(state, held)
    told = state.model_dump(exclude={"record_id"})
    return Body.model_validate(
        {**told, "id": state.record_id, "next_meeting": meets,
         "overdue": meets < view.known_at.date()}
    )  # fmt: skip


@router.post("/bodies", status_code=201, response_model=Body)
def form_body(body: NewBody, caller: Annotated[Caller, Depends(writes("goals:write"))]) -> Response:
    """Form a governance body; from then on its rights gate what is decided about goals."""

    def work(transaction: Transaction) -> Answer:
        stated = body.model_dump(exclude={"acting_reason"})
        principal = caller.principal
        state = governance.form_body(transaction, stated, principal, body.acting_reason)
        return Answer(_shown(transaction, state), 201, 1, f"/v1/bodies/{state.record_id}")

    return caller.command(work)


@router.get("/bodies")
def list_bodies(
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    pages: Pages,
    initiative_id: Annotated[
        str | None, Query(max_length=36, description="Only of this one")
    ] = None,
) -> Page[Body]:
    """List bodies, oldest first."""
    with reader.view() as view:
        rows = records.bodies(view, initiative_id, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda state: state.record_id, lambda s: _shown(view, s))


@router.get("/bodies/{body_id}")
def get_body(
    body_id: str, response: Response, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> BodyAnswer:
    """Show a body, its members, and when it meets again."""
    with reader.view() as view:
        state = records.body(view, body_id)
        response.headers["ETag"] = f'"{state.revision}"'
        return BodyAnswer(
            body=_shown(view, state), known_at=view.known_at, basis=view.basis.token,
            open=view.open,
        )  # fmt: skip


@router.post("/bodies/{body_id}/members", response_model=Body)
def join_body(
    body_id: str, body: Joining, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Let somebody join a body."""

    def work(transaction: Transaction) -> Answer:
        state = records.body(transaction, body_id)
        caller.demand_revision(state.revision)
        right = governance.demand_seat(transaction, caller.principal, state, body.acting_reason)
        member = MemberState(**body.model_dump(exclude={"acting_reason"}))
        changed = governance.join_body(transaction, state, member, right)
        return Answer(_shown(transaction, changed), 200, changed.revision)

    return caller.command(work)


@router.post("/bodies/{body_id}/leave", response_model=Body)
def leave_body(
    body_id: str, body: Leaving, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Let a member leave a body, with a reason."""

    def work(transaction: Transaction) -> Answer:
        state = records.body(transaction, body_id)
        caller.demand_revision(state.revision)
        right = governance.demand_seat(transaction, caller.principal, state, body.acting_reason)
        changed = governance.leave_body(
            transaction, state, body.person, body.until, body.reason, right
        )
        return Answer(_shown(transaction, changed), 200, changed.revision)

    return caller.command(work)


@router.get("/bodies/{body_id}/history")
def get_body_history(
    body_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> History:
    """Tell in words who formed a body, who joined and who left, and why."""
    with reader.view() as view:
        return told(view, f"body/{body_id}")
