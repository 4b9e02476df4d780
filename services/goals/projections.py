"""What the ledger moves: the present and past state of every initiative and goal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection, select

from services.goals.domain import body as bodies_domain
from services.goals.domain import goal as goals_domain
from services.goals.domain import initiative as initiatives_domain
from services.goals.domain import review as reviews_domain
from services.goals.domain import share as shares_domain
from services.goals.domain import statement as statements_domain
from services.goals.domain import workshop as workshops_domain
from services.goals.domain.body import Body
from services.goals.domain.goal import Goal, GoalBody, GoalEvent
from services.goals.domain.initiative import Initiative, InitiativeEvent
from services.goals.domain.review import Review
from services.goals.domain.share import Share
from services.goals.domain.statement import KINDS, Statement, StatementEvent
from services.goals.domain.workshop import Workshop
from services.goals.tables import goals, initiatives, records
from shared.events import Event, payload_of
from shared.ledger import Transaction
from shared.ledger.projecting import close, supersede

_State = TypeVar("_State", bound=BaseModel)


@dataclass(frozen=True)
class _Aggregate:
    """A kind of thing with events of its own."""

    state: type[Any]
    evolve: Callable[[Any, Any], Any]


_AGGREGATES = {
    "body": _Aggregate(Body, bodies_domain.evolve),
    "review": _Aggregate(Review, reviews_domain.evolve),
    "workshop": _Aggregate(Workshop, workshops_domain.evolve),
    "share": _Aggregate(Share, shares_domain.evolve),
}


def project(transaction: Transaction, appended: Sequence[Event]) -> None:
    """Move every projection by one batch."""
    for event in appended:
        kind, _, identity = (event.stream or "").partition("/")
        if kind in KINDS:
            _project_statement(transaction, event, kind, identity)
        elif kind in _AGGREGATES:
            made = _AGGREGATES[kind]
            before = _before(transaction, event, kind, identity, made.state)
            moved = made.evolve(before, payload_of(event))
            _project_record(transaction, event, kind, moved)
        elif kind in ("initiative", "goal"):
            payload = payload_of(event)
            if isinstance(payload, InitiativeEvent):
                _project_initiative(transaction, event, identity, payload)
            else:
                assert isinstance(payload, GoalEvent), f"{event.name} moves nothing here"
                _project_goal(transaction, event, identity, payload)


def _before(
    transaction: Transaction, event: Event, kind: str, identity: str, shape: type[_State]
) -> _State | None:
    if event.revision == 1:
        return None
    state = transaction.connection.execute(
        select(records.c.state).where(
            records.c.tenant_id == transaction.tenant_id,
            records.c.kind == kind,
            records.c.record_id == identity,
            records.c.to_position.is_(None),
        )
    ).scalar_one()
    return shape.model_validate_json(state)


def _project_statement(transaction: Transaction, event: Event, kind: str, identity: str) -> None:
    made, payload = KINDS[kind], payload_of(event)
    assert isinstance(payload, StatementEvent), f"{event.name} moves nothing here"
    before = _before(transaction, event, kind, identity, made.state)
    moved = statements_domain.evolve(made, before, payload)
    if moved is None:
        keys = {"tenant_id": transaction.tenant_id, "kind": kind, "record_id": identity}
        close(transaction.connection, records, keys, event.position)
    else:
        _project_record(transaction, event, kind, moved)


def _project_record(
    transaction: Transaction, event: Event, kind: str, moved: Body | Review | Workshop | Share
    | Statement[Any],
) -> None:  # fmt: skip
    keys = {"tenant_id": transaction.tenant_id, "kind": kind, "record_id": moved.record_id}
    row = {"initiative_id": moved.initiative_id, "state": moved.model_dump_json()}
    supersede(transaction.connection, records, keys, event.position, row)


def _project_initiative(
    transaction: Transaction, event: Event, identity: str, payload: InitiativeEvent
) -> None:
    state: Initiative | None = None
    if event.revision != 1:
        state = find_initiative(transaction.connection, transaction.tenant_id, identity)
    moved = initiatives_domain.evolve(state, payload)
    keys = {"tenant_id": transaction.tenant_id, "initiative_id": identity}
    row = {"state": moved.model_dump_json()}
    supersede(transaction.connection, initiatives, keys, event.position, row)


def _project_goal(
    transaction: Transaction, event: Event, identity: str, payload: GoalEvent
) -> None:
    state: Goal | None = None
    if event.revision != 1:
        state = find_goal(transaction.connection, transaction.tenant_id, identity)
    moved = goals_domain.evolve(state, payload)
    keys = {"tenant_id": transaction.tenant_id, "goal_id": identity}
    row = {
        "initiative_id": moved.body.initiative_id,
        "metric": moved.body.metric if isinstance(moved.body, GoalBody) else "",
        "state": moved.model_dump_json(),
    }
    supersede(transaction.connection, goals, keys, event.position, row)


def find_initiative(connection: Connection, tenant_id: UUID, identity: str) -> Initiative:
    """An initiative as it is now; it must be there."""
    state = connection.execute(
        select(initiatives.c.state).where(
            initiatives.c.tenant_id == tenant_id,
            initiatives.c.initiative_id == identity,
            initiatives.c.to_position.is_(None),
        )
    ).scalar_one()
    return Initiative.model_validate_json(state)


def find_goal(connection: Connection, tenant_id: UUID, identity: str) -> Goal:
    """A goal as it is now; it must be there."""
    state = connection.execute(
        select(goals.c.state).where(
            goals.c.tenant_id == tenant_id,
            goals.c.goal_id == identity,
            goals.c.to_position.is_(None),
        )
    ).scalar_one()
    return Goal.model_validate_json(state)
