"""organization groups

Groups of customers, by which reports filter.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "organization_groups",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.UniqueConstraint("uuid"),
    )
    op.create_table(
        "customer_organization_groups",
        sa.Column(
            "customer_id",
            sa.BigInteger(),
            sa.ForeignKey("customers.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "organization_group_id",
            sa.BigInteger(),
            sa.ForeignKey("organization_groups.id", ondelete="CASCADE"),
            primary_key=True,
        ),
    )
    op.create_index(
        op.f("ix_customer_organization_groups_organization_group_id"),
        "customer_organization_groups",
        ["organization_group_id"],
    )


def downgrade() -> None:
    op.drop_table("customer_organization_groups")
    op.drop_table("organization_groups")
