"""customers of bills

The customers that an import of cost exports created; they get invoices only from such imports.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.limits import without_statement_timeout

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Such imports assign UUIDs of version 5. An account has imported invoices, a provider offerings.
MARK = """
UPDATE customers SET source = 'focus'
WHERE substr(uuid::text, 15, 1) = '5' AND (
    EXISTS (
        SELECT FROM invoices WHERE invoices.customer_id = customers.id AND invoices.source = 'focus'
    )
    OR EXISTS (
        SELECT FROM offerings
        WHERE offerings.customer_id = customers.id AND offerings.type = 'FOCUS'
    )
)
"""


def upgrade() -> None:
    op.add_column("customers", sa.Column("source", sa.Text(), nullable=True))
    with without_statement_timeout():
        op.execute(MARK)


def downgrade() -> None:
    op.drop_column("customers", "source")
