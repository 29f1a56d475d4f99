"""replica reads

One row says whether API processes may read replicas, and which positions in Redis count.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0044"
down_revision: str | None = "0043"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "replica_reads",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("redis_run", sa.Text(), nullable=False),
        sa.Column("suspended_until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            '"suspended_until"'
            " BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'",
            name=op.f("ck_replica_reads_dates_are_in_range"),
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_replica_reads_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replica_reads")),
    )


def downgrade() -> None:
    op.drop_table("replica_reads")
