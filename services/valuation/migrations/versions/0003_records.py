"""Frozen valuations and the risk table: one table for their states, by kind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "records",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("from_position", POSITION, autoincrement=False, nullable=False),
        sa.Column("to_position", POSITION, nullable=True),
        sa.Column("case_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "record_id", "from_position"),
    )
    op.create_index(
        "records_by_case", "records", ["tenant_id", "kind", "case_id", "record_id"], unique=False
    )
