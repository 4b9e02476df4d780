"""A share link: a scorecard for people without an account, for a time, and not for ever."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from pydantic import BaseModel, ConfigDict

from shared.errors import CONFLICT
from shared.events import Payload, event

# Opening a page again within this time is not told again, so that nobody can fill the ledger.
TOLD_AGAIN = timedelta(minutes=1)


@event("share.opened")
class ShareOpened(Payload):
    """A link was made; only a digest of its secret is kept."""

    share_id: str
    initiative_id: str
    name: str
    digest: str
    expires_at: datetime


@event("share.revoked")
class ShareRevoked(Payload):
    """A link no longer opens anything."""

    reason: str


@event("share.looked_at")
class ShareLookedAt(Payload):
    """Somebody opened the page."""

    at: datetime


ShareEvent = ShareOpened | ShareRevoked | ShareLookedAt


class Share(BaseModel):
    """A link as its events have left it; `initiative_id` is empty for all initiatives."""

    model_config = ConfigDict(frozen=True)
    record_id: str
    initiative_id: str
    revision: int
    name: str
    digest: str
    expires_at: datetime
    revoked: str | None = None
    looks: int = 0
    last_look: datetime | None = None

    def opens(self, now: datetime) -> bool:
        """Whether the link shows anything at a moment."""
        return self.revoked is None and now < self.expires_at


def evolve(state: Share | None, fact: ShareEvent) -> Share:
    """The link after one more event."""
    if isinstance(fact, ShareOpened):
        told = fact.model_dump(exclude={"share_id"})
        return Share(record_id=fact.share_id, revision=1, **told)
    assert state is not None, "a link is made first"
    revision = {"revision": state.revision + 1}
    match fact:
        case ShareRevoked():
            return state.model_copy(update={**revision, "revoked": fact.reason})
        case ShareLookedAt():
            seen = {"looks": state.looks + 1, "last_look": fact.at}
            return state.model_copy(update={**revision, **seen})
        case _:
            assert_never(fact)


def revoke(state: Share, reason: str) -> ShareRevoked:
    """Take a link back, once."""
    if state.revoked is not None:
        raise CONFLICT.refusal(f"The link is revoked already: {state.revoked}")
    return ShareRevoked(reason=reason)


def look(state: Share, now: datetime) -> ShareLookedAt | None:
    """Tell that the page was opened; None where that was told a moment ago."""
    if state.last_look is not None and now - state.last_look < TOLD_AGAIN:
        return None
    return ShareLookedAt(at=now)
