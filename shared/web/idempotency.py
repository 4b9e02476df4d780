"""Stored answers of commands that came with an `Idempotency-Key`, kept for a day."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Response
from sqlalchemy import Column, Integer, LargeBinary, String, Table, Text, Uuid, delete, select

from shared.database import Hash, Instant, upsert
from shared.errors import IDEMPOTENCY_MISMATCH
from shared.ledger import Transaction, View
from shared.ledger.tables import kit

KEPT_FOR = timedelta(hours=24)

answers = Table(
    "idempotent_answers", kit,
    Column("tenant_id", Uuid, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("operation", Text, nullable=False),
    Column("digest", Hash, nullable=False),
    Column("answered_at", Instant, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)  # fmt: skip


def recall(transaction: View, key: str, operation: str, digest: bytes) -> Response | None:
    """The stored answer of the same request; refuses when the key was used for another one."""
    row = transaction.connection.execute(
        select(answers).where(answers.c.tenant_id == transaction.tenant_id, answers.c.key == key)
    ).one_or_none()
    if row is None or row.answered_at + KEPT_FOR < transaction.known_at:
        return None
    if (row.operation, row.digest) != (operation, digest):
        raise IDEMPOTENCY_MISMATCH.refusal(
            f"The key {key!r} was used for {row.operation} with another body."
        )
    headers = dict(line.split(": ", 1) for line in row.headers.splitlines())
    return Response(row.body, row.status, {**headers, "Idempotency-Replayed": "true"})


def remember(
    transaction: Transaction, key: str, operation: str, digest: bytes, response: Response
) -> None:
    """Store an answer in the transaction that it is about, and forget outdated ones."""
    connection, tenant_id = transaction.connection, transaction.tenant_id
    connection.execute(
        delete(answers).where(
            answers.c.tenant_id == tenant_id,
            answers.c.answered_at < transaction.known_at - KEPT_FOR,
        )
    )
    kept = ("content-type", "etag", "location")
    headers = [f"{n}: {v}" for n, v in response.headers.items() if n in kept]
    upsert(
        connection,
        answers,
        {
            "tenant_id": tenant_id,
            "key": key,
            "operation": operation,
            "digest": digest,
            "answered_at": transaction.known_at,
            "status": response.status_code,
            "headers": "\n".join(headers),
            "body": bytes(response.body),
        },
    )
