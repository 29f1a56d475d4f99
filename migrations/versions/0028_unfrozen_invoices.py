"""unfrozen invoices

The job that freezes invoices of earlier releases finds them by an index.
"""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME: Final = "ix_invoices_unfrozen"
UNFROZEN: Final = (
    "document_version IS NULL AND (state IN ('created', 'paid')"
    " OR state = 'canceled' AND invoice_date IS NOT NULL)"
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # An interrupted revision starts again, and may have left an invalid index.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
        op.create_index(
            NAME,
            "invoices",
            ["id"],
            postgresql_where=sa.text(UNFROZEN),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index(NAME, "invoices")
