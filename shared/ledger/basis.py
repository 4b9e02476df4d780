"""A basis: one state of the ledger, named by its position and the root of its chain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select

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


def basis_at(connection: Connection, tenant_id: UUID, moment: datetime) -> Basis:
    """The last state that had been recorded by a moment."""
    row = connection.execute(
        select(batches.c.last_position, batches.c.chain, batches.c.recorded_at)
        .where(batches.c.tenant_id == tenant_id, batches.c.recorded_at <= moment)
        .order_by(batches.c.recorded_at.desc())
        .limit(1)
    ).one_or_none()
    return EMPTY_BASIS if row is None else Basis(*row)


def head_basis(connection: Connection, tenant_id: UUID) -> Basis:
    """The last state of all."""
    row = connection.execute(
        select(heads.c.position, heads.c.chain, heads.c.recorded_at).where(
            heads.c.tenant_id == tenant_id
        )
    ).one_or_none()
    return EMPTY_BASIS if row is None or not row.position else Basis(*row)


def basis_at_position(connection: Connection, tenant_id: UUID, position: int) -> Basis:
    """The state after the batch that ends with a position; refuses where none does."""
    row = connection.execute(
        select(batches.c.last_position, batches.c.chain, batches.c.recorded_at).where(
            batches.c.tenant_id == tenant_id, batches.c.last_position == position
        )
    ).one_or_none()
    if row is None:
        raise UNKNOWN_BASIS.refusal(f"No batch of this ledger ends with position {position}.")
    return Basis(*row)


def find_basis(connection: Connection, tenant_id: UUID, token: str) -> Basis:
    """The state that a token names; refuses with `unknown-basis` where the ledger never had it."""
    position, _, root = token.partition("-")
    if token == EMPTY_BASIS.token:
        return EMPTY_BASIS
    if position.isdecimal() and len(position) <= 18:
        row = connection.execute(
            select(batches.c.last_position, batches.c.chain, batches.c.recorded_at).where(
                batches.c.tenant_id == tenant_id,
                batches.c.last_position == int(position),
            )
        ).one_or_none()
        if row is not None and row.chain[:8].hex() == root:
            return Basis(*row)
    raise UNKNOWN_BASIS.refusal(f"{token[:80]!r} names no state of this ledger.")
