"""customer names

Counts customers and orders them by name, for lists of all of them.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # An interrupted revision starts again, and may have left an invalid index.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_customers_name")
        op.execute(
            'CREATE INDEX CONCURRENTLY ix_customers_name ON customers (name COLLATE "C", id)'
        )
    # The triggers lock the table until the end of the transaction, so that the count is complete.
    for operation, rows in (("DELETE", "OLD"), ("INSERT", "NEW")):
        op.execute(
            f"CREATE TRIGGER count_rows_on_{operation.lower()} AFTER {operation} ON customers"
            f" REFERENCING {rows} TABLE AS changed"
            " FOR EACH STATEMENT EXECUTE FUNCTION count_rows()"
        )
    op.execute(
        "INSERT INTO row_counts (counted_table, number) SELECT 'customers', count(*) FROM customers"
    )


def downgrade() -> None:
    op.drop_index("ix_customers_name", table_name="customers")
    op.execute("DROP TRIGGER count_rows_on_delete ON customers")
    op.execute("DROP TRIGGER count_rows_on_insert ON customers")
    op.execute("DELETE FROM row_counts WHERE counted_table = 'customers'")
