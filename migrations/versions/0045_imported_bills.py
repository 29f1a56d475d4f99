"""imported bills

The files of a bill that an import has stored. The same files need no second reading.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0045"
down_revision: str | None = "0044"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "imported_bills",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("charges", postgresql.JSONB(), nullable=False),
        sa.Column("invoice_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("revisions", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_imported_bills")),
    )


def downgrade() -> None:
    op.drop_table("imported_bills")
