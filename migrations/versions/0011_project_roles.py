"""project roles

Roles of users in projects, and whether a customer shows them the invoice items of their projects.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "customers",
        sa.Column(
            "display_billing_info_in_projects",
            sa.Boolean(),
            server_default=sa.true(),
            nullable=False,
        ),
    )
    op.create_table(
        "project_roles",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role IN ('admin', 'manager', 'member')", name=op.f("ck_project_roles_role_is_known")
        ),
        sa.CheckConstraint(
            "\"created_at\" BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'"
            " AND \"expires_at\" BETWEEN '0001-01-01 00:00:00+00'"
            " AND '9999-12-31 23:59:59.999999+00'",
            name=op.f("ck_project_roles_dates_are_in_range"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_project_roles_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_project_roles_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_roles")),
        sa.UniqueConstraint("uuid", name=op.f("uq_project_roles_uuid")),
    )
    op.create_index(op.f("ix_project_roles_project_id"), "project_roles", ["project_id"])
    op.create_index(
        "ix_project_roles_user_id_project_id", "project_roles", ["user_id", "project_id"]
    )


def downgrade() -> None:
    op.drop_table("project_roles")
    op.drop_column("customers", "display_billing_info_in_projects")
