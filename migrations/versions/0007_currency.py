"""currency

Amounts have the decimals of the currency of the database, and prices of items are stored: the database
computes missing ones. Both were generated columns with two decimals before.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Exact at every size; a division of numerics would keep 16 digits only.
ITEM_PRICE = """
CREATE FUNCTION item_price(unit_price numeric, quantity numeric, decimals integer)
RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT trunc(unit_price * quantity, decimals)
        + sign(unit_price * quantity - trunc(unit_price * quantity, decimals))
        * round(0.1 ^ decimals, decimals)
$$
"""

# A trigger does not see which columns an UPDATE names, but PostgreSQL runs one of `UPDATE OF price`
# only if that is among them. So an unchanged price with new amounts is marked first, then restored if
# the statement gives it, else computed. The triggers run in the order of their names.
MARK = """
CREATE FUNCTION mark_item_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.price := 'NaN';
    RETURN NEW;
END
$$
"""
KEEP = """
CREATE FUNCTION keep_item_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.price := OLD.price;
    RETURN NEW;
END
$$
"""
FILL = """
CREATE FUNCTION fill_item_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.price := item_price(
        NEW.unit_price, NEW.quantity, (SELECT decimals FROM currency)
    );
    RETURN NEW;
END
$$
"""

# Not a CHECK, which could not read the currency; once for a statement, not for each row.
HOLD = """
CREATE FUNCTION hold_item_prices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places integer;
    smallest numeric;
    too_fine boolean;
    too_far boolean;
BEGIN
    SELECT decimals, round(0.1 ^ decimals, decimals) INTO STRICT places, smallest FROM currency;
    IF TG_OP = 'INSERT' THEN
        SELECT bool_or(price <> round(price, places)),
               bool_or(abs(price - unit_price * quantity) > smallest)
        INTO too_fine, too_far
        FROM new_items;
    ELSE
        SELECT bool_or(n.price <> round(n.price, places)),
               bool_or(abs(n.price - n.unit_price * n.quantity) > smallest)
        INTO too_fine, too_far
        FROM new_items AS n JOIN old_items AS o USING (id)
        WHERE (n.price, n.unit_price, n.quantity)
            IS DISTINCT FROM (o.price, o.unit_price, o.quantity);
    END IF;
    IF too_fine THEN
        RAISE EXCEPTION 'the price of an item has more decimals than the currency, which has %', places
            USING ERRCODE = 'check_violation', TABLE = 'invoice_items',
                  CONSTRAINT = 'ck_invoice_items_price_has_decimals_of_currency';
    ELSIF too_far THEN
        RAISE EXCEPTION 'the price of an item is more than % from unit price times quantity', smallest
            USING ERRCODE = 'check_violation', TABLE = 'invoice_items',
                  CONSTRAINT = 'ck_invoice_items_price_is_near_product';
    END IF;
    RETURN NULL;
END
$$
"""
TOTAL_COST = """
CREATE FUNCTION keep_total_cost() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.total_cost := round(
        NEW.total_price * (100 + NEW.tax_percent) * 0.01, (SELECT decimals FROM currency)
    );
    RETURN NEW;
END
$$
"""
_AMOUNTS_CHANGE = "(NEW.unit_price, NEW.quantity) IS DISTINCT FROM (OLD.unit_price, OLD.quantity)"
ITEM_TRIGGERS = {
    "price_1_mark": "BEFORE UPDATE OF unit_price, quantity ON invoice_items FOR EACH ROW"
    f" WHEN ({_AMOUNTS_CHANGE} AND NEW.price = OLD.price) EXECUTE FUNCTION mark_item_price()",
    "price_2_keep": "BEFORE UPDATE OF price ON invoice_items FOR EACH ROW"
    " WHEN (NEW.price = 'NaN') EXECUTE FUNCTION keep_item_price()",
    "price_3_fill": "BEFORE INSERT OR UPDATE ON invoice_items FOR EACH ROW"
    " WHEN (NEW.price IS NULL OR NEW.price = 'NaN') EXECUTE FUNCTION fill_item_price()",
    "hold_prices_on_insert": "AFTER INSERT ON invoice_items REFERENCING NEW TABLE AS new_items"
    " FOR EACH STATEMENT EXECUTE FUNCTION hold_item_prices()",
    "hold_prices_on_update": "AFTER UPDATE ON invoice_items"
    " REFERENCING OLD TABLE AS old_items NEW TABLE AS new_items"
    " FOR EACH STATEMENT EXECUTE FUNCTION hold_item_prices()",
}
INVOICE_TRIGGERS = {
    "keep_total_cost_on_insert": "BEFORE INSERT ON invoices FOR EACH ROW"
    " EXECUTE FUNCTION keep_total_cost()",
    "keep_total_cost_on_update": "BEFORE UPDATE ON invoices FOR EACH ROW"
    " WHEN ((NEW.total_price, NEW.tax_percent, NEW.total_cost)"
    " IS DISTINCT FROM (OLD.total_price, OLD.tax_percent, OLD.total_cost))"
    " EXECUTE FUNCTION keep_total_cost()",
}
FUNCTIONS = (
    "widen_amounts()",
    "keep_total_cost()",
    "hold_item_prices()",
    "fill_item_price()",
    "keep_item_price()",
    "mark_item_price()",
    "item_price(numeric, numeric, integer)",
)
# The type of a column that a trigger names does not change. The first is of revision 0004.
RECORD_CHANGED = (
    "AFTER UPDATE OF uuid, number, year, month, state, tax_percent, created, invoice_date, due_date,"
    " backend_id, payment_url, reference_number, cancel_reason, source, total_price,"
    " incurred_costs, compensations, customer_id ON invoices"
    " FOR EACH ROW EXECUTE FUNCTION record_changed_invoice()"
)
_ON_INVOICES = {"record_changed": RECORD_CHANGED} | INVOICE_TRIGGERS
_dropped = ";\n    ".join(
    [f"DROP TRIGGER {name} ON invoices" for name in _ON_INVOICES]
    + [f"DROP TRIGGER {name} ON invoice_items" for name in ITEM_TRIGGERS]
)
_created = ";\n    ".join(
    f"CREATE TRIGGER {name} {trigger}" for name, trigger in (_ON_INVOICES | ITEM_TRIGGERS).items()
)

# Only for a currency with more than two decimals: open sessions cannot execute prepared statements
# after the type of a result changed, so that a release before this one would fail. It works for a role
# that does not own the tables, too, and can be called again.
WIDEN = f"""
CREATE FUNCTION widen_amounts() RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    {_dropped};
    ALTER TABLE invoices
        ALTER COLUMN total_price TYPE numeric,
        ALTER COLUMN total_cost TYPE numeric;
    ALTER TABLE invoice_items ALTER COLUMN price TYPE numeric;
    ALTER TABLE payments ALTER COLUMN sum TYPE numeric;
    {_created};
END
$$
"""
BOUNDED = (("invoices", "total_price"), ("payments", "sum"))


def upgrade() -> None:
    op.create_table(
        "currency",
        sa.Column("single", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("decimals", sa.SmallInteger(), server_default="2", nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_currency_is_one")),
        sa.CheckConstraint("decimals BETWEEN 0 AND 4", name=op.f("ck_currency_decimals_are_few")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_currency")),
    )
    op.execute("INSERT INTO currency DEFAULT VALUES")
    for function in (ITEM_PRICE, MARK, KEEP, FILL, HOLD, TOTAL_COST, WIDEN):
        op.execute(function)
    # In the order of most transactions, which avoids deadlocks with them.
    op.execute("LOCK TABLE invoices, invoice_items, payments")
    # Stored values stay: no table is rewritten.
    op.execute("ALTER TABLE invoice_items ALTER COLUMN price DROP EXPRESSION")
    op.execute("ALTER TABLE invoices ALTER COLUMN total_cost DROP EXPRESSION")
    # The range of numeric(22, 2), also after the columns are widened.
    for table, column in BOUNDED:
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{column}_is_bounded"
            f" CHECK (abs({column}) < 1e20) NOT VALID"
        )
    for name, trigger in (ITEM_TRIGGERS | INVOICE_TRIGGERS).items():
        op.execute(f"CREATE TRIGGER {name} {trigger}")


def downgrade() -> None:
    for name in ITEM_TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON invoice_items")
    for name in INVOICE_TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON invoices")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    for table, column in BOUNDED:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{column}_is_bounded")
    op.execute("ALTER TABLE payments ALTER COLUMN sum TYPE numeric(22, 2)")
    op.execute("DROP TRIGGER record_changed ON invoices")
    op.execute("ALTER TABLE invoices DROP COLUMN total_cost")
    op.execute("ALTER TABLE invoices ALTER COLUMN total_price TYPE numeric(22, 2)")
    op.execute(
        "ALTER TABLE invoices ADD COLUMN total_cost numeric(22, 2) NOT NULL"
        " GENERATED ALWAYS AS (round(total_price * (100 + tax_percent) / 100, 2)) STORED"
    )
    op.execute("CREATE INDEX ix_invoices_total_cost ON invoices (total_cost)")
    op.execute(f"CREATE TRIGGER record_changed {RECORD_CHANGED}")
    op.execute(
        "ALTER TABLE invoice_items DROP COLUMN price,"
        " ADD COLUMN price numeric(28, 2) NOT NULL GENERATED ALWAYS AS"
        " (sign((unit_price * quantity)) * ceil(abs((unit_price * quantity)) * 100) / 100) STORED"
    )
    op.drop_table("currency")
