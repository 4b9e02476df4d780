"""Scorecards as pages, and share links that show one to people without an account."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import Field

from services.goals.api.pages import scorecard_page
from services.goals.api.progress import asked_as
from services.goals.api.scorecard import Seen, ShownBy, scorecard
from services.goals.clients import MetricsClient
from services.goals.domain import share as domain
from services.goals.domain.share import Share as State
from services.goals.domain.share import ShareOpened
from services.goals.queries import records
from services.goals.queries import states as queries
from services.goals.queries.assessment import Question
from services.goals.settings import GoalsSettings
from shared.errors import CONFLICT, NOT_FOUND, Refusal, invalid
from shared.events import Payload
from shared.ids import new_id
from shared.ledger import Transaction, View
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, Runtime, reads, runtime_of, writes
from shared.web.wire import InstantField, Wire
from shared.words import Id, Name, Reason

router = make_router("scorecard")
MAX_DAYS = 366
_SECRET_BYTES = 24


class NewShare(Wire):
    """A link to a scorecard."""

    name: Name = Field(description="Whom it is for", examples=["Screen in the lobby"])
    initiative_id: Id | None = Field(None, description="Whose scorecard; null: all goals")
    expires_at: InstantField = Field(description="Until when it opens; at most a year ahead")


class Share(Wire):
    """A link to a scorecard, without its secret."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Number of changes; the ETag")
    name: str = Field(description="Whom it is for")
    initiative_id: Id | None = Field(description="Whose scorecard; null: all goals")
    expires_at: InstantField = Field(description="Until when it opens")
    revoked: str | None = Field(description="Why it was revoked; null while it was not")
    looks: int = Field(ge=0, description="How often it was opened; once a minute is told")
    last_look: InstantField | None = Field(description="When it was opened last")


class MadeShare(Share):
    """A link to a scorecard with its address, which is shown this once."""

    path: str = Field(description="Path of the page; whoever knows it sees the scorecard")


class Revocation(Wire):
    """Why a link is taken back."""

    reason: Reason = Field(description="Why")


@router.get("/scorecard/page", response_class=Response)
def show_scorecard_page(
    reader: Annotated[Reader, Depends(reads("goals:read"))], by: ShownBy = "horizon"
) -> Response:
    """Show all goals of the organisation as a page that works without scripts, and prints."""
    with reader.view() as view:
        seen = Seen.of(view, None)
    return scorecard_page(scorecard(asked_as(reader, seen.known_at), seen, by), None)


@router.get("/initiatives/{initiative_id}/scorecard/page", response_class=Response)
def show_initiative_scorecard_page(
    initiative_id: str,
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    by: ShownBy = "horizon",
) -> Response:
    """Show the goals of an initiative as a page that works without scripts, and prints."""
    with reader.view() as view:
        seen = Seen.of(view, initiative_id)
    card = scorecard(asked_as(reader, seen.known_at), seen, by)
    assert seen.initiative is not None, "the initiative was looked up"
    return scorecard_page(card, seen.initiative.body.name)


def _told(state: State) -> dict[str, object]:
    told = state.model_dump(exclude={"record_id", "digest"})
    return {**told, "id": state.record_id, "initiative_id": state.initiative_id or None}


@router.post("/shares", status_code=201, response_model=MadeShare)
def share_scorecard(
    body: NewShare, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Make a link that shows a scorecard to people without an account, until it expires.

    The page is live: it is computed when it is opened, with the service's own key, and can only be
    read. Its address holds the secret, of which only a digest is kept; so it is shown this once.
    """
    caller.demand_no_replay()
    if _service_key(caller.runtime, caller.tenant_id) is None:
        raise CONFLICT.refusal(
            "A page for people without an account is computed with a key of the service's own; "
            "set GOALS_SERVICE_KEYS for this tenant."
        )
    now = caller.runtime.clock.now()
    if not now < body.expires_at <= now + timedelta(days=MAX_DAYS):
        raise invalid("/expires_at", f"Name a moment within the next {MAX_DAYS} days.", "range")
    secret = secrets.token_bytes(_SECRET_BYTES)

    def work(transaction: Transaction) -> Answer:
        if body.initiative_id is not None:
            queries.initiative(transaction, body.initiative_id)
        opened = ShareOpened(
            share_id=new_id(), initiative_id=body.initiative_id or "", name=body.name,
            digest=hashlib.sha256(secret).hexdigest(), expires_at=body.expires_at,
        )  # fmt: skip
        transaction.record(f"share/{opened.share_id}", 0, [opened])
        state = records.share(transaction, opened.share_id)
        path = f"/v1/shared/{_token(caller.tenant_id, opened.share_id, secret)}"
        made = MadeShare.model_validate({**_told(state), "path": path})
        return Answer(made, 201, 1, f"/v1/shares/{opened.share_id}")

    return caller.command(work)


@router.get("/shares")
def list_shares(
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    pages: Pages,
    initiative_id: Annotated[
        str | None, Query(max_length=36, description="Only of this initiative")
    ] = None,
) -> Page[Share]:
    """List links, how often they were opened, and which are revoked."""
    with reader.view() as view:
        rows = records.shares(view, initiative_id, pages.text_after(), pages.limit + 1)
        return pages.page(
            view, rows, lambda state: state.record_id, lambda s: Share.model_validate(_told(s))
        )


@router.post("/shares/{share_id}/revoke", response_model=Share)
def revoke_share(
    share_id: str, body: Revocation, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Take a link back; it opens nothing from now on."""

    def work(transaction: Transaction) -> Answer:
        state = records.share(transaction, share_id)
        caller.demand_revision(state.revision)
        changed = _record(transaction, state, domain.revoke(state, body.reason))
        return Answer(Share.model_validate(_told(changed)), 200, changed.revision)

    return caller.command(work)


def _record(transaction: Transaction, state: State, fact: Payload) -> State:
    transaction.record(f"share/{state.record_id}", state.revision, [fact])
    return records.share(transaction, state.record_id)


@router.get("/shared/{token}", response_class=Response, openapi_extra={"x-open": True})
def open_shared_scorecard(token: str, request: Request, by: ShownBy = "horizon") -> Response:
    """Show a shared scorecard to whoever knows the address; every look is logged."""
    runtime = runtime_of(request)
    tenant_id, share_id, secret = _parts(token)
    now = runtime.clock.now()
    with runtime.ledger.view(tenant_id) as view:
        state = _opened(view, share_id, secret, now)
        seen = Seen.of(view, state.initiative_id or None)
    key = _service_key(runtime, tenant_id)
    client = runtime.parts["metrics"]
    assert isinstance(client, MetricsClient)
    if key is None:
        raise _unknown()
    card = scorecard(Question(client, key), seen, by)
    with runtime.ledger.transaction(tenant_id, actor="share link") as transaction:
        present = _opened(transaction, share_id, secret, now)
        if (fact := domain.look(present, now)) is not None:
            _record(transaction, present, fact)
    page = scorecard_page(card, seen.initiative.body.name if seen.initiative else None)
    page.headers["Cache-Control"] = "no-store"
    page.headers["X-Robots-Tag"] = "noindex"
    return page


def _opened(view: View, share_id: str, secret: bytes, now: datetime) -> State:
    """The link, if the secret is its own and it still opens; else all refusals are the same."""
    try:
        state = records.share(view, share_id)
    except Refusal as refusal:
        raise _unknown() from refusal
    right = hmac.compare_digest(hashlib.sha256(secret).hexdigest(), state.digest)
    if not right or not state.opens(now):
        raise _unknown()
    return state


def _unknown() -> Refusal:
    return NOT_FOUND.refusal("This link does not exist, has expired or was revoked.")


def _service_key(runtime: Runtime, tenant_id: UUID) -> str | None:
    settings = runtime.settings
    assert isinstance(settings, GoalsSettings)
    found = settings.service_keys.get(str(tenant_id))
    return found.get_secret_value() if found is not None else None


def _token(tenant_id: UUID, share_id: str, secret: bytes) -> str:
    packed = tenant_id.bytes + UUID(share_id).bytes + secret
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _parts(token: str) -> tuple[UUID, str, bytes]:
    try:
        packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (ValueError, binascii.Error) as error:
        raise _unknown() from error
    if len(packed) != 32 + _SECRET_BYTES:
        raise _unknown()
    return UUID(bytes=packed[:16]), str(UUID(bytes=packed[16:32])), packed[32:]
