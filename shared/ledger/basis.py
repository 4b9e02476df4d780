"""A basis: one state of the ledger, named by its position and the root of its chain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, select

from shared.chain import EMPTY_CHAIN
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
# Statements that stay: making them anew takes as long as the database takes to answer them.
_STATES = select(batches.c.last_position, batches.c.chain, batches.c.recorded_at).where(
    batches.c.tenant_id == bindparam("tenant")
)
_BY_MOMENT = (
    _STATES.where(batches.c.recorded_at <= bindparam("moment"))
    .order_by(batches.c.recorded_at.desc())
    .limit(1)
)
_BY_POSITION = _STATES.where(batches.c.last_position == bindparam("position"))
_HEAD = select(heads.c.position, heads.c.chain, heads.c.recorded_at).where(
    heads.c.tenant_id == bindparam("tenant")
)


def basis_at(connection: Connection, tenant_id: UUID, moment: datetime) -> Basis:
    """The last state that had been recorded by a moment."""
    asked = {"tenant": tenant_id, "moment": moment}
    row = connection.execute(_BY_MOMENT, asked).one_or_none()
    return EMPTY_BASIS if row is None else Basis(*row)


def head_basis(connection: Connection, tenant_id: UUID) -> Basis:
    """The last state of all."""
    row = connection.execute(_HEAD, {"tenant": tenant_id}).one_or_none()
    return EMPTY_BASIS if row is None or not row.position else Basis(*row)


def basis_at_position(connection: Connection, tenant_id: UUID, position: int) -> Basis:
    """The state after the batch that ends with a position; refuses where none does."""
    asked = {"tenant": tenant_id, "position": position}
    row = connection.execute(_BY_POSITION, asked).one_or_none()
    if row is None:
        raise UNKNOWN_BASIS.refusal(f"No batch of this ledger ends with position {position}.")
    return Basis(*row)


def find_basis(connection: Connection, tenant_id: UUID, token: str) -> Basis:
    """The state that a token names; refuses with `unknown-basis` where the ledger never had it."""
    position, _, root = token.partition("-")
    if token == EMPTY_BASIS.token:
        return EMPTY_BASIS
    if position.isdecimal() and len(position) <= 18:
        asked = {"tenant": tenant_id, "position": int(position)}
        row = connection.execute(_BY_POSITION, asked).one_or_none()
        if row is not None and row.chain[:8].hex() == root:
            return Basis(*row)
    raise UNKNOWN_BASIS.refusal(f"{token[:80]!r} names no state of this ledger.")
