"""details for documents

The details of customers that e-invoices and printed documents need.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = (
    ("registration_scheme", 4),
    ("buyer_reference", 100),
    ("order_reference", 100),
    ("contact_name", 150),
    ("city", 100),
    ("endpoint", 100),
    ("endpoint_scheme", 4),
    ("language", 12),
    ("tax_category", 2),
    ("tax_exemption_code", 30),
    ("tax_exemption_reason", 300),
)


def upgrade() -> None:
    for name, length in COLUMNS:
        column = sa.Column(name, sa.String(length), server_default="", nullable=False)
        op.add_column("customers", column)


def downgrade() -> None:
    for name, _ in reversed(COLUMNS):
        op.drop_column("customers", name)
