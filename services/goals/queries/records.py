"""Questions about what surrounds goals: bodies, reviews, and all that is only stated."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import select

from services.goals.domain.body import Body
from services.goals.domain.review import Review
from services.goals.domain.share import Share
from services.goals.domain.statement import BodyT, Kind, Statement
from services.goals.domain.workshop import Workshop
from services.goals.tables import records
from shared.errors import NOT_FOUND
from shared.ledger import View
from shared.ledger.projecting import known

_State = TypeVar("_State", bound=BaseModel)
MAX_RECORDS = 1_000


def body(view: View, identity: str) -> Body:
    """A body as known at the view; refuses with 404."""
    return _one(view, "body", identity, Body)


def bodies(view: View, initiative_id: str | None, after: str, limit: int) -> list[Body]:
    return _list(view, "body", Body, initiative_id, after, limit)


def review(view: View, identity: str) -> Review:
    """A review as known at the view; refuses with 404."""
    return _one(view, "review", identity, Review)


def reviews(view: View, initiative_id: str | None, after: str, limit: int) -> list[Review]:
    return _list(view, "review", Review, initiative_id, after, limit)


def workshop(view: View, identity: str) -> Workshop:
    """A workshop as known at the view; refuses with 404."""
    return _one(view, "workshop", identity, Workshop)


def workshops(view: View, initiative_id: str | None, after: str, limit: int) -> list[Workshop]:
    return _list(view, "workshop", Workshop, initiative_id, after, limit)


def share(view: View, identity: str) -> Share:
    """A share link as known at the view; refuses with 404."""
    return _one(view, "share", identity, Share)


def shares(view: View, initiative_id: str | None, after: str, limit: int) -> list[Share]:
    return _list(view, "share", Share, initiative_id, after, limit)


def statement(view: View, made: Kind[BodyT], identity: str) -> Statement[BodyT]:
    """A thing of a kind as known at the view; refuses with 404."""
    return _one(view, made.name, identity, made.state)


def statements(
    view: View, made: Kind[BodyT], initiative_id: str | None, after: str = "",
    limit: int = MAX_RECORDS,
) -> list[Statement[BodyT]]:  # fmt: skip
    """The things of a kind, oldest first; those that are retired are left out."""
    return _list(view, made.name, made.state, initiative_id, after, limit)


def _one(view: View, kind: str, identity: str, shape: type[_State]) -> _State:
    state = view.connection.execute(
        select(records.c.state).where(
            records.c.tenant_id == view.tenant_id,
            records.c.kind == kind,
            records.c.record_id == identity,
            known(records, view.position),
        )
    ).scalar()
    if state is None:
        raise NOT_FOUND.refusal(f"There is no {kind} {identity!r}.")
    return shape.model_validate_json(state)


def _list(
    view: View, kind: str, shape: type[_State], initiative_id: str | None, after: str, limit: int
) -> list[_State]:
    query = select(records.c.state).where(
        records.c.tenant_id == view.tenant_id,
        records.c.kind == kind,
        records.c.record_id > after,
        known(records, view.position),
    )
    if initiative_id is not None:
        query = query.where(records.c.initiative_id == initiative_id)
    rows = view.connection.execute(query.order_by(records.c.record_id).limit(limit))
    return [shape.model_validate_json(state) for state in rows.scalars()]
