"""customer details

Names, codes and contacts of customers, and the names of projects in URLs.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = (
    ("customers", "native_name", sa.String(160)),
    ("customers", "abbreviation", sa.String(12)),
    ("customers", "slug", sa.String(50)),
    ("customers", "registration_code", sa.String(160)),
    ("customers", "agreement_number", sa.String(160)),
    ("customers", "backend_id", sa.String(255)),
    ("customers", "contact_details", sa.Text()),
    ("projects", "slug", sa.String(50)),
)


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, server_default="", nullable=False))


def downgrade() -> None:
    for table, name, _ in reversed(COLUMNS):
        op.drop_column(table, name)
