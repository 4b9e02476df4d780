"""Export and import of one tenant's ledger as lines of JSON: the same bases, the same bytes.

A line is a header, a batch with its chain value, or an event with its personal fields. The import
goes into an empty ledger, recomputes every hash on the way and refuses a file that does not agree.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, insert, select, update

from shared.clock import from_micros, to_micros
from shared.database import insert_once
from shared.errors import CONFLICT, INVALID
from shared.events import Event
from shared.ledger.rows import read_event
from shared.ledger.tables import batches, events, heads, personal, tenants
from shared.ledger.transactions import Ledger
from shared.ledger.verify import verify

FORMAT = 1
_BYTES = ("leaf", "root", "chain", "salt")
_MOMENTS = ("occurred_at", "recorded_at")


def export(connection: Connection, tenant_id: UUID, service: str) -> Iterator[bytes]:
    """The tenant's ledger, one line at a time, in constant memory."""
    head = connection.execute(select(heads).where(heads.c.tenant_id == tenant_id)).one_or_none()
    yield _line(
        "header",
        {
            "format": FORMAT,
            "service": service,
            "tenant_id": str(tenant_id),
            "position": head.position if head else 0,
            "simulated": bool(head and head.simulated),
        },
    )
    for batch in connection.execute(
        select(batches).where(batches.c.tenant_id == tenant_id).order_by(batches.c.last_position)
    ).all():
        yield _line("batch", dict(batch._mapping))
        span = (batch.first_position, batch.last_position)
        for table, kind in ((events, "event"), (personal, "personal")):
            for row in connection.execute(
                select(table)
                .where(table.c.tenant_id == tenant_id, table.c.position.between(*span))
                .order_by(table.c.position)
            ):
                yield _line(kind, dict(row._mapping))


def _line(kind: str, row: dict[str, Any]) -> bytes:
    row.pop("tenant_id", None) if kind != "header" else None
    shown = {
        name: base64.b64encode(value).decode()
        if isinstance(value, bytes)
        else to_micros(value)
        if name in _MOMENTS
        else value.isoformat()
        if isinstance(value, date)
        else value
        for name, value in row.items()
    }
    return msgspec.json.encode({"kind": kind, **shown}) + b"\n"


def import_(
    ledger: Ledger,
    tenant_id: UUID,
    service: str,
    lines: Iterable[bytes],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Import an exported ledger into a tenant that has none; returns the number of events.

    All or nothing: refuses a file of another service, a ledger that is not empty, and a file
    whose events do not give the chain that it claims.
    """
    source = iter(lines)
    try:
        header = msgspec.json.decode(next(source, b"{}"), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise INVALID.refusal("This is no exported ledger (format 1).") from error
    if header.get("kind") != "header" or header.get("format") != FORMAT:
        raise INVALID.refusal("This is no exported ledger (format 1).")
    if header["service"] != service:
        raise INVALID.refusal(f"This is a ledger of {header['service']}, not of {service}.")
    ledger.simulated = header["simulated"]
    with ledger.transaction(tenant_id) as transaction:
        connection = transaction.connection
        if transaction.position:
            raise CONFLICT.refusal("The tenant has a ledger already; import into an empty one.")
        count = _load(connection, tenant_id, source, header["position"], progress)
        verdict = verify(connection, tenant_id)
        if not verdict.intact or verdict.position != header["position"]:
            raise INVALID.refusal(f"The file does not agree with its chain: {verdict.broken}.")
    return count


def _load(
    connection: Connection,
    tenant_id: UUID,
    source: Iterator[bytes],
    total: int,
    progress: Callable[[int, int], None],
) -> int:
    tables = {"batch": batches, "event": events, "personal": personal}
    count = 0
    for line in source:
        row = msgspec.json.decode(line)
        kind = row.pop("kind")
        parsed = {name: _parsed(name, value) for name, value in row.items()}
        connection.execute(insert(tables[kind]), {"tenant_id": tenant_id, **parsed})
        if kind == "batch":
            connection.execute(
                update(heads)
                .where(heads.c.tenant_id == tenant_id)
                .values(
                    position=parsed["last_position"],
                    recorded_at=parsed["recorded_at"],
                    chain=parsed["chain"],
                )
            )
        count += kind == "event"
        if count % 1000 == 0:
            progress(count, total)
    return count


def _parsed(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _BYTES:
        return base64.b64decode(value)
    if name in _MOMENTS:
        return from_micros(value)
    if name == "occurred_on":
        return date.fromisoformat(value)
    return value


def register_tenant(connection: Connection, tenant_id: UUID, key: str, row: dict[str, Any]) -> bool:
    """Make a tenant known to this database; False where the key or id is there already."""
    return insert_once(connection, tenants, {"tenant_id": tenant_id, "key": key, **row})


def read_all(connection: Connection, tenant_id: UUID) -> list[Event]:
    """Every event of a tenant, oldest first (for tests and small ledgers)."""
    rows = connection.execute(
        select(events).where(events.c.tenant_id == tenant_id).order_by(events.c.position)
    )
    return [read_event(row._mapping) for row in rows]
