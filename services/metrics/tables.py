"""The tables of the metrics service: the ledger's, its projections, and what stands beside it."""

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
    Uuid,
    text,
)

from shared.database import Day, Hash, Instant, Position
from shared.follow import checkpoints
from shared.ledger.tables import kit
from shared.web.idempotency import answers
from shared.workers import leases

metadata = MetaData()
for _table in (*kit.sorted_tables,):
    _table.to_metadata(metadata)
assert {checkpoints.name, answers.name, leases.name} <= set(metadata.tables), "the kit is whole"


def _known() -> tuple[Column[int], Column[int]]:
    return (
        Column("from_position", Position, primary_key=True, autoincrement=False),
        Column("to_position", Position),
    )


# Projections: moved by the ledger alone, dropped and rebuilt at will.
metric_versions = Table(
    "metric_versions", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("key", String(64), primary_key=True),
    *_known(),
    Column("version", Integer, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("body", Text, nullable=False),
)  # fmt: skip
calendars = Table(
    "calendars", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    *_known(),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),
)  # fmt: skip
sources = Table(
    "sources", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("key", String(64), primary_key=True),
    *_known(),
    Column("revision", Integer, nullable=False),
    Column("body", Text, nullable=False),
)  # fmt: skip
event_types = Table(
    "event_types", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("name", String(200), primary_key=True),
    *_known(),
    Column("schema_number", Integer, nullable=False),
    Column("spec", Text, nullable=False),
)  # fmt: skip
excluded = Table(
    "excluded", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("position", Position, primary_key=True, autoincrement=False),
    *_known(),
    Column("cause", String(20), nullable=False),
    # Cells ask what a segment of the ledger has taken out or let in again.
    Index("excluded_by_begin", "tenant_id", "from_position"),
    Index("excluded_by_end", "tenant_id", "to_position"),
)  # fmt: skip
retractions = Table(
    "retractions", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    *_known(),
    Column("source", Text, nullable=False),
    Column("event_id", Text),
    Column("starts_at", Instant),
    Column("ends_at", Instant),
    Column("reason", Text, nullable=False),
    # Each question asks whether a range was retracted since.
    Index(
        "retracted_ranges", "tenant_id", "from_position",
        sqlite_where=text("event_id IS NULL"), postgresql_where=text("event_id IS NULL"),
    ),
)  # fmt: skip
spans = Table(
    "spans", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    *_known(),
    Column("first_occurred_at", Instant, nullable=False),
)  # fmt: skip
# Where figures that are observed as such stand, so that a second one is seen.
figures = Table(
    "figures", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("position", Position, primary_key=True, autoincrement=False),
    Column("place", Hash, nullable=False),
    Index("figures_by_place", "tenant_id", "place"),
)  # fmt: skip
baselines = Table(
    "baselines", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("baseline_id", String(36), primary_key=True),
    *_known(),
    Column("metric", String(64), nullable=False),
    Column("body", Text, nullable=False),
)  # fmt: skip

backfills = Table(
    "backfills", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("backfill_id", String(36), primary_key=True),
    *_known(),
    Column("state", String(20), nullable=False),
    Column("body", Text, nullable=False),
)  # fmt: skip
cut_overs = Table(
    "cut_overs", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("old_source", Text, primary_key=True),
    Column("new_source", Text, primary_key=True),
    *_known(),
    Column("on_day", Day, nullable=False),
    Column("event_names", Text, nullable=False),
    Column("lifted", Boolean, nullable=False),
    Column("body", Text, nullable=False),
)  # fmt: skip
bases = Table(
    "bases", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("name", String(200), primary_key=True),
    *_known(),
    Column("basis", String(64), nullable=False),
    Column("closes", String(40)),
    Column("body", Text, nullable=False),
)  # fmt: skip
restated = Table(
    "restated", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("holder", String(300), primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("period", String(40), primary_key=True),
    *_known(),
    Column("body", Text, nullable=False),
)  # fmt: skip

PROJECTIONS = (
    metric_versions, calendars, sources, event_types, excluded, retractions, spans, figures,
    baselines, backfills, cut_overs, bases, restated,
)  # fmt: skip

# Counted for people who run this; it has no past and is not part of any figure.
intake = Table(
    "intake", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("status", String(20), primary_key=True),
    Column("count", Position, nullable=False),
)  # fmt: skip

# Sums of whole segments of the ledger: written once by a worker, never changed, made anew at will.
series = Table(
    "series", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("series_id", LargeBinary(16), primary_key=True),
    Column("spec", Text, nullable=False),
    Column("segments", Position, nullable=False),
)  # fmt: skip
cells = Table(
    "cells", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("series_id", LargeBinary(16), primary_key=True),
    Column("node", Position, primary_key=True, autoincrement=False),
    Column("month", Integer, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)  # fmt: skip
CELLS = (series, cells)

# Beside the ledger: credentials, secrets, raw deliveries, quarantine.
api_keys = Table(
    "api_keys", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("key_id", String(36), primary_key=True),
    Column("hash", Hash, nullable=False),
    Column("name", Text, nullable=False),
    Column("person", Text),
    Column("scopes", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
    Index("api_keys_by_hash", "tenant_id", "hash", unique=True),
)  # fmt: skip
source_secrets = Table(
    "source_secrets", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)  # fmt: skip
webhook_tokens = Table(
    "webhook_tokens", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("hash", Hash, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
)  # fmt: skip
deliveries = Table(
    "deliveries", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("delivery_id", String(36), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("events", Integer, nullable=False),
    Index("deliveries_by_state", "tenant_id", "state", "delivery_id"),
)  # fmt: skip
quarantine = Table(
    "quarantine", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("item_id", String(36), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("faults", Text, nullable=False),
    Column("item", Text, nullable=False),
)  # fmt: skip
imports = Table(
    "imports", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("import_id", String(36), primary_key=True),
    Column("source", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("body", Text, nullable=False),
)  # fmt: skip

# Long work and how far it has come; it has no past, what it appends has.
jobs = Table(
    "jobs", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("job_id", String(36), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("state", String(10), nullable=False),
    Column("actor", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("asked", Text, nullable=False),
    Column("mark", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer),
    Column("outcome", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("jobs_by_state", "tenant_id", "state", "job_id"),
)  # fmt: skip
