"""reading at any size

Summaries for lists, counts and growth, and revisions that show whether a cached document is current.
Triggers keep them in the transaction of each change.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.limits import without_statement_timeout

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The revision names one state of an invoice and its items. Storing the revision of an import is no
# change, unless the import changes something else as well.
REVISE = """
CREATE OR REPLACE FUNCTION revise_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted invoices := OLD;
BEGIN
    noted.imported_revision := NEW.imported_revision;
    noted.total_cost := NEW.total_cost;  -- generated, and not known yet
    IF NEW.imported_revision IS NOT DISTINCT FROM OLD.imported_revision
       OR NEW IS DISTINCT FROM noted THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END
$$
"""
REVISE_BEFORE = """
CREATE OR REPLACE FUNCTION revise_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.imported_revision IS NOT DISTINCT FROM OLD.imported_revision THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END
$$
"""

# One number for all of them, since they change rarely.
REVISE_REFERENCES = """
CREATE FUNCTION revise_references() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        UPDATE reference_revision SET revision = revision + 1;
    END IF;
    RETURN NULL;
END
$$
"""
REFERENCES_UPDATED = (
    "customers",
    "projects",
    "resources",
    "offerings",
    "categories",
    "offering_components",
    "plan_components",
    "service_providers",
)
"""Tables whose rows items refer to; foreign keys prevent the deletion of such a row."""


def revise_references_on(table: str, operation: str) -> str:
    transition = "OLD" if operation == "DELETE" else "NEW"
    return (
        f"CREATE TRIGGER revise_references_on_{operation.lower()} AFTER {operation} ON {table}"
        f" REFERENCING {transition} TABLE AS changed FOR EACH STATEMENT"
        " EXECUTE FUNCTION revise_references()"
    )


OF_MONTH = "year, month, state, total_price, total_cost"
OF_CUSTOMER = "customer_id, created, total_cost"
OPERATIONS = ("INSERT", "DELETE", "UPDATE")


def change(operation: str, columns: str) -> str:
    """Select the values of these columns, never null, that a statement adds and removes.

    Unchanged values are left out, so that their rows are not locked.
    """
    match operation:
        case "INSERT":
            return f"SELECT 1 AS sign, {columns} FROM new_invoices"
        case "DELETE":
            return f"SELECT -1 AS sign, {columns} FROM old_invoices"
        case _:
            return f"""
        (SELECT 1 AS sign, {columns}, id FROM new_invoices
         EXCEPT SELECT 1, {columns}, id FROM old_invoices)
        UNION ALL
        (SELECT -1, {columns}, id FROM old_invoices
         EXCEPT SELECT -1, {columns}, id FROM new_invoices)
    """


def tally(operation: str) -> str:
    """Return the function for statements of one kind.

    Tallies are only inserted, so that no transaction waits for another's commit. Each customer has
    one row of sums, which stores the day since which it counts.
    """
    return f"""
CREATE FUNCTION tally_invoices_on_{operation.lower()}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM ({change(operation, OF_MONTH)}) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT DISTINCT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM ({change(operation, OF_CUSTOMER)}) AS change
    ORDER BY customer_id
    ON CONFLICT DO NOTHING;

    -- Locked first, so that the next statement sees from which day on each of them counts.
    PERFORM FROM customer_year_totals
    WHERE customer_id IN (SELECT customer_id FROM ({change(operation, OF_CUSTOMER)}) AS change)
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + added.invoices, total = kept.total + added.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM ({change(operation, OF_CUSTOMER)}) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since
        GROUP BY customer_id
    ) AS added
    WHERE kept.customer_id = added.customer_id;
    RETURN NULL;
END
$$
"""


def tally_on(operation: str) -> str:
    tables = {
        "INSERT": "NEW TABLE AS new_invoices",
        "DELETE": "OLD TABLE AS old_invoices",
        "UPDATE": "OLD TABLE AS old_invoices NEW TABLE AS new_invoices",
    }
    return (
        f"CREATE TRIGGER tally_on_{operation.lower()} AFTER {operation} ON invoices"
        f" REFERENCING {tables[operation]} FOR EACH STATEMENT"
        f" EXECUTE FUNCTION tally_invoices_on_{operation.lower()}()"
    )


# CREATE TRIGGER has locked invoices, so that nothing is counted twice or missed.
COUNT_WHAT_IS_THERE = (
    "INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)"
    " SELECT year, month, state, count(*), sum(total_price), sum(total_cost)"
    " FROM invoices GROUP BY year, month, state",
    "INSERT INTO customer_year_totals (customer_id, since, invoices, total)"
    " SELECT customer_id, since, count(*) FILTER (WHERE created >= since),"
    " coalesce(sum(total_cost) FILTER (WHERE created >= since), 0)"
    " FROM invoices, (SELECT date((now() AT TIME ZONE 'UTC') - interval '1 year') AS since) AS year"
    " GROUP BY customer_id, since",
)


def upgrade() -> None:
    op.create_table(
        "reference_revision",
        sa.Column("single", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_reference_revision_is_one")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_reference_revision")),
    )
    op.create_table(
        "invoice_tallies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("month", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("invoices", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("cost", sa.Numeric(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_tallies")),
    )
    op.create_table(
        "customer_year_totals",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("invoices", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Numeric(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_customer_year_totals_customer_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_year_totals")),
    )
    op.create_index(
        "ix_customer_year_totals_largest",
        "customer_year_totals",
        ["since", sa.literal_column("total DESC"), "customer_id"],
        postgresql_where=sa.text("invoices > 0"),
    )
    op.create_index(op.f("ix_customer_year_totals_since"), "customer_year_totals", ["since"])
    op.execute("INSERT INTO reference_revision DEFAULT VALUES")
    op.execute(REVISE)
    op.execute(REVISE_REFERENCES)
    for table in REFERENCES_UPDATED:
        op.execute(revise_references_on(table, "UPDATE"))
    for operation in ("INSERT", "DELETE"):
        # Responses also show whether a provider exists.
        op.execute(revise_references_on("service_providers", operation))
    for operation in OPERATIONS:
        op.execute(tally(operation))
        op.execute(tally_on(operation))
    # Changes of invoices wait for it: about a second for a million of them.
    with without_statement_timeout():
        for statement in COUNT_WHAT_IS_THERE:
            op.execute(statement)


def downgrade() -> None:
    for operation in OPERATIONS:
        op.execute(f"DROP TRIGGER tally_on_{operation.lower()} ON invoices")
        op.execute(f"DROP FUNCTION tally_invoices_on_{operation.lower()}()")
    for operation in ("INSERT", "DELETE"):
        op.execute(f"DROP TRIGGER revise_references_on_{operation.lower()} ON service_providers")
    for table in REFERENCES_UPDATED:
        op.execute(f"DROP TRIGGER revise_references_on_update ON {table}")
    op.execute("DROP FUNCTION revise_references()")
    op.execute(REVISE_BEFORE)
    op.drop_index(op.f("ix_customer_year_totals_since"), table_name="customer_year_totals")
    op.drop_index("ix_customer_year_totals_largest", table_name="customer_year_totals")
    op.drop_table("customer_year_totals")
    op.drop_table("invoice_tallies")
    op.drop_table("reference_revision")
