"""Backfills, cut-overs, named bases, told restatements; and cells, which are not projections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "backfills",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("backfill_id", sa.String(length=36), nullable=False),
        sa.Column("from_position", POSITION, autoincrement=False, nullable=False),
        sa.Column("to_position", POSITION, nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "backfill_id", "from_position"),
    )
    op.create_table(
        "bases",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("from_position", POSITION, autoincrement=False, nullable=False),
        sa.Column("to_position", POSITION, nullable=True),
        sa.Column("basis", sa.String(length=64), nullable=False),
        sa.Column("closes", sa.String(length=40), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "from_position"),
    )
    op.create_table(
        "cells",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("series_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("node", POSITION, autoincrement=False, nullable=False),
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "series_id", "node", "month"),
    )
    op.create_table(
        "cut_overs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("old_source", sa.Text(), nullable=False),
        sa.Column("new_source", sa.Text(), nullable=False),
        sa.Column("from_position", POSITION, autoincrement=False, nullable=False),
        sa.Column("to_position", POSITION, nullable=True),
        sa.Column("on_day", sa.String(length=10), nullable=False),
        sa.Column("event_names", sa.Text(), nullable=False),
        sa.Column("lifted", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "old_source", "new_source", "from_position"),
    )
    op.create_table(
        "restated",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("holder", sa.String(length=300), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=40), nullable=False),
        sa.Column("from_position", POSITION, autoincrement=False, nullable=False),
        sa.Column("to_position", POSITION, nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "holder", "metric", "period", "from_position"),
    )
    op.create_table(
        "intake",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("count", POSITION, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "status"),
    )
    op.create_table(
        "series",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("series_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("segments", POSITION, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "series_id"),
    )
    op.create_index(
        "events_by_backfill",
        "events",
        ["tenant_id", "backfill"],
        unique=False,
        sqlite_where=sa.text("backfill IS NOT NULL"),
        postgresql_where=sa.text("backfill IS NOT NULL"),
    )
    op.create_index("excluded_by_begin", "excluded", ["tenant_id", "from_position"], unique=False)
    op.create_index("excluded_by_end", "excluded", ["tenant_id", "to_position"], unique=False)
