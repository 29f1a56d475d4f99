"""costs of projects

The index of items by project has their prices, too, so that the costs of a project are added up
without a read of the items.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NEW = "ix_invoice_items_project_id_invoice_id"
OLD = "ix_invoice_items_project_id"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # An interrupted revision starts again, and may have left an invalid index.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEW}")
        op.create_index(
            NEW,
            "invoice_items",
            ["project_id", "invoice_id"],
            postgresql_include=["price"],
            postgresql_concurrently=True,
        )
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {OLD}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {OLD}")
        op.create_index(OLD, "invoice_items", ["project_id"], postgresql_concurrently=True)
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEW}")
