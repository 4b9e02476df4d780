"""A basis: one state of the ledger, named by its position and the root of its chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    select,
    type_coerce,
)

from shared.asking import ask_together
from shared.chain import EMPTY_CHAIN
from shared.clock import from_micros, to_micros
from shared.errors import UNKNOWN_BASIS
from shared.ledger.tables import batches, heads


@dataclass(frozen=True, slots=True)
class Basis:
    """A state of the ledger: all events up to a position, named so that it can be proven."""

    position: int
    chain: bytes
    recorded_at: datetime | None

    @property
    def token(self) -> str:
        return f"{self.position}-{self.chain[:8].hex()}"


EMPTY_BASIS = Basis(0, EMPTY_CHAIN, None)
Question = tuple[Select[Any], Mapping[str, Any]]
# Moments are microseconds here, as they are stored.
_TENANT: BindParameter[UUID] = bindparam("tenant")
_RECORDED = type_coerce(batches.c.recorded_at, BigInteger)


class Bases:
    """What to ask for bases; `beside` are columns that are answered with each, in their order.

    The statements stay, since making them anew takes as long as the database takes to answer.
    """

    def __init__(self, beside: Sequence[ColumnElement[Any]] = ()) -> None:
        states = select(batches.c.last_position, batches.c.chain, _RECORDED, *beside).where(
            batches.c.tenant_id == _TENANT
        )
        known = bindparam("moment") >= _RECORDED
        self._by_moment = states.where(known).order_by(_RECORDED.desc()).limit(1)
        self._by_position = states.where(batches.c.last_position == bindparam("position"))
        recorded = type_coerce(heads.c.recorded_at, BigInteger)
        self._head = select(heads.c.position, heads.c.chain, recorded, *beside).where(
            heads.c.tenant_id == _TENANT, heads.c.position > 0
        )

    def of_head(self, tenant_id: UUID) -> Question:
        """The last state of all."""
        return self._head, {"tenant": tenant_id}

    def of_moment(self, tenant_id: UUID, moment: datetime) -> Question:
        """The last state that had been recorded by a moment."""
        return self._by_moment, {"tenant": tenant_id, "moment": to_micros(moment)}

    def of_position(self, tenant_id: UUID, position: int) -> Question:
        """The state after the batch that ends with a position."""
        return self._by_position, {"tenant": tenant_id, "position": position}

    def of_token(self, tenant_id: UUID, token: str) -> Question:
        """The state that a token may name."""
        return self.of_position(tenant_id, position_in(token))


BARE = Bases()


def position_in(token: str) -> int:
    """The position of the state that a token may name; 0 where it names none."""
    position = token.partition("-")[0]
    return int(position) if position.isdecimal() and len(position) <= 18 else 0


def told(rows: Sequence[Sequence[Any]]) -> Basis:
    """The state that an answer tells; before the first batch there is the empty one."""
    for position, chain, recorded_at, *_ in rows:
        return Basis(position, bytes(chain), from_micros(recorded_at))
    return EMPTY_BASIS


def named(token: str, rows: Sequence[Sequence[Any]]) -> Basis:
    """The state that a token names; refuses with `unknown-basis` where the ledger never had it."""
    found = told(rows)
    if found.token != token:
        raise UNKNOWN_BASIS.refusal(f"{token[:80]!r} names no state of this ledger.")
    return found


def _ask(connection: Connection, question: Question) -> Sequence[Sequence[Any]]:
    return ask_together(connection, [question])[0]


def basis_at_position(connection: Connection, tenant_id: UUID, position: int) -> Basis:
    """The state after the batch that ends with a position; refuses where none does."""
    found = told(_ask(connection, BARE.of_position(tenant_id, position)))
    if found.position != position:
        raise UNKNOWN_BASIS.refusal(f"No batch of this ledger ends with position {position}.")
    return found


def find_basis(connection: Connection, tenant_id: UUID, token: str) -> Basis:
    """The state that a token names; refuses with `unknown-basis` where the ledger never had it."""
    return named(token, _ask(connection, BARE.of_token(tenant_id, token)))
