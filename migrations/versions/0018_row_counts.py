"""row counts

Triggers keep the numbers of rows of large tables, which lists of all rows show.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COUNTED = ("invoice_items", "payments")
COUNT_ROWS = """
CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO row_counts (counted_table, number)
    SELECT TG_TABLE_NAME, CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END
    FROM changed
    HAVING count(*) > 0;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "row_counts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("counted_table", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_row_counts")),
    )
    op.create_index(op.f("ix_row_counts_counted_table"), "row_counts", ["counted_table"])
    op.execute(COUNT_ROWS)
    for table in COUNTED:
        for operation, rows in (("DELETE", "OLD"), ("INSERT", "NEW")):
            op.execute(
                f"CREATE TRIGGER count_rows_on_{operation.lower()} AFTER {operation} ON {table}"
                f" REFERENCING {rows} TABLE AS changed"
                " FOR EACH STATEMENT EXECUTE FUNCTION count_rows()"
            )


def downgrade() -> None:
    for table in COUNTED:
        op.execute(f"DROP TRIGGER count_rows_on_delete ON {table}")
        op.execute(f"DROP TRIGGER count_rows_on_insert ON {table}")
    op.execute("DROP FUNCTION count_rows()")
    op.drop_table("row_counts")
