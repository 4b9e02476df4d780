"""The tables of the goals service: the ledger's and its projections."""

from __future__ import annotations

from sqlalchemy import Column, Index, MetaData, String, Table, Text, Uuid

from shared.database import Position
from shared.follow import checkpoints
from shared.ledger.tables import kit
from shared.web.idempotency import answers
from shared.workers import leases

metadata = MetaData()
for _table in kit.sorted_tables:
    _table.to_metadata(metadata)
assert {checkpoints.name, answers.name, leases.name} <= set(metadata.tables), "the kit is whole"

initiatives = Table(
    "initiatives", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("initiative_id", String(36), primary_key=True),
    Column("from_position", Position, primary_key=True, autoincrement=False),
    Column("to_position", Position),
    Column("state", Text, nullable=False),
)  # fmt: skip
goals = Table(
    "goals", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("goal_id", String(36), primary_key=True),
    Column("from_position", Position, primary_key=True, autoincrement=False),
    Column("to_position", Position),
    Column("initiative_id", String(36), nullable=False),
    Column("metric", String(64), nullable=False),
    Column("state", Text, nullable=False),
    Index("goals_by_initiative", "tenant_id", "initiative_id", "goal_id"),
    Index("goals_by_metric", "tenant_id", "metric"),
)  # fmt: skip
# Bodies, reviews and whatever else surrounds goals: few of each, and asked for by initiative only.
records = Table(
    "records", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("record_id", String(36), primary_key=True),
    Column("from_position", Position, primary_key=True, autoincrement=False),
    Column("to_position", Position),
    Column("initiative_id", String(36), nullable=False),
    Column("state", Text, nullable=False),
    Index("records_by_initiative", "tenant_id", "kind", "initiative_id", "record_id"),
)  # fmt: skip

PROJECTIONS = (initiatives, goals, records)
