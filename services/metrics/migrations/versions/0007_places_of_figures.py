"""Where figures that are observed as such stand; those of before are found after a rebuild."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "figures",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("position", POSITION, autoincrement=False, nullable=False),
        sa.Column("place", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "position"),
    )
    op.create_index("figures_by_place", "figures", ["tenant_id", "place"], unique=False)
