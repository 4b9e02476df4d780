"""The tables of the valuation service: the ledger's and its projections."""

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

cases = Table(
    "cases", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("case_id", String(36), primary_key=True),
    Column("from_position", Position, primary_key=True, autoincrement=False),
    Column("to_position", Position),
    Column("initiative_id", String(36), nullable=False),
    Column("state", Text, nullable=False),
)  # fmt: skip

# Frozen valuations and the risk table; `case_id` is empty where a record belongs to no case.
records = Table(
    "records", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("record_id", String(36), primary_key=True),
    Column("from_position", Position, primary_key=True, autoincrement=False),
    Column("to_position", Position),
    Column("case_id", String(36), nullable=False),
    Column("state", Text, nullable=False),
    Index("records_by_case", "tenant_id", "kind", "case_id", "record_id"),
)  # fmt: skip

PROJECTIONS = (cases, records)
