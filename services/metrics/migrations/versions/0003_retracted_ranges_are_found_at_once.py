"""Each question asks whether a range was retracted since: an index over the few rows that are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    ranges = sa.text("event_id IS NULL")
    op.create_index(
        "retracted_ranges", "retractions", ["tenant_id", "from_position"],
        sqlite_where=ranges, postgresql_where=ranges,
    )  # fmt: skip
