"""first row counts

Counts the rows that were there before the triggers, and adds the indexes of two lists. No change
waits for it: the count and the differences are read at one moment.
"""

from collections.abc import Sequence

from alembic import op

from migrations.limits import without_statement_timeout

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COUNTED = ("invoice_items", "payments")
INDEXES = (
    ("ix_invoice_items_start_id", "invoice_items", ["start", "id"]),
    ("ix_payments_date_of_payment", "payments", ["date_of_payment"]),
)


def upgrade() -> None:
    with without_statement_timeout():
        for table in COUNTED:
            op.execute(
                "INSERT INTO row_counts (counted_table, number)"
                f" SELECT '{table}', (SELECT count(*) FROM {table}) - coalesce(sum(number), 0)"
                f" FROM row_counts WHERE counted_table = '{table}'"
            )
    with op.get_context().autocommit_block():
        for name, table, columns in INDEXES:
            # An interrupted revision starts again, and may have left an invalid index.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(name, table, columns, postgresql_concurrently=True)


def downgrade() -> None:
    for name, table, _ in INDEXES:
        op.drop_index(name, table_name=table)
    op.execute("DELETE FROM row_counts")
