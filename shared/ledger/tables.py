"""The tables of a ledger, the same in every service and on both databases."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from shared.database import Day, Hash, Instant, Position

kit = MetaData()

tenants = Table(
    "tenants", kit,
    Column("tenant_id", Uuid, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
)  # fmt: skip
heads = Table(
    "heads", kit,
    Column("tenant_id", Uuid, primary_key=True),
    Column("position", Position, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("chain", Hash, nullable=False),
    Column("simulated", Boolean, nullable=False),
)  # fmt: skip
events = Table(
    "events", kit,
    Column("tenant_id", Uuid, primary_key=True),
    Column("position", Position, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("sequence", Text, nullable=False),
    Column("stream", Text),
    Column("revision", Integer),
    Column("name", Text, nullable=False),
    Column("schema_number", Integer, nullable=False),
    Column("subject", Text),
    Column("occurred_at", Instant, nullable=False),
    Column("occurred_on", Day),
    Column("recorded_at", Instant, nullable=False),
    Column("backfill", Text),
    Column("actor", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("leaf", Hash, nullable=False),
    Column("data", Text, nullable=False),
    UniqueConstraint("tenant_id", "source", "event_id", "sequence", name="events_identity"),
    UniqueConstraint("tenant_id", "stream", "revision", name="events_stream_revision"),
    Index("events_by_name_and_time", "tenant_id", "name", "occurred_at"),
    Index(
        "events_by_backfill", "tenant_id", "backfill",
        sqlite_where=text("backfill IS NOT NULL"), postgresql_where=text("backfill IS NOT NULL"),
    ),
)  # fmt: skip
batches = Table(
    "batches", kit,
    Column("tenant_id", Uuid, primary_key=True),
    Column("last_position", Position, primary_key=True, autoincrement=False),
    Column("first_position", Position, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("root", Hash, nullable=False),
    Column("chain", Hash, nullable=False),
    Index("batches_by_time", "tenant_id", "recorded_at"),
)  # fmt: skip
personal = Table(
    "personal", kit,
    Column("tenant_id", Uuid, primary_key=True),
    Column("position", Position, primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("commitment", String(64), nullable=False),
    Column("salt", LargeBinary(16)),
    Column("value", Text),
)  # fmt: skip

# Tables that the service's own role may read and extend, but never change.
APPEND_ONLY = ("events", "batches")
