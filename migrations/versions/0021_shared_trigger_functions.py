"""shared trigger functions

The functions of the triggers that record and count changes share their statements. Their effect is
the same as before.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AFTER: Final = (
    """
CREATE OR REPLACE FUNCTION record_new_invoices() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    this uuid := current_change();
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT this, n.uuid, 'invoice', n.uuid,
           invoice_as_recorded(n::invoices)
    FROM new_rows AS n;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_new_invoice_items() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    this uuid := current_change();
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT this, (SELECT uuid FROM invoices WHERE id = n.invoice_id), 'item', n.uuid,
           item_as_recorded(n::invoice_items)
    FROM new_rows AS n WHERE n.invoice_id IS NOT NULL;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_new_payments() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    this uuid := current_change();
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT this, (SELECT uuid FROM invoices WHERE id = n.invoice_id), 'payment', n.uuid,
           payment_as_recorded(n::payments)
    FROM new_rows AS n WHERE n.invoice_id IS NOT NULL;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_gone_invoice() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    SELECT current_change(), OLD.uuid, 'item', n.uuid, item_as_recorded(n)
    FROM invoice_items AS n WHERE n.invoice_id = OLD.id ORDER BY n.id;
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    VALUES (current_change(), OLD.uuid, 'invoice', OLD.uuid,
            invoice_as_recorded(OLD) || jsonb_build_object(
                'history_count', OLD.history_count,
                'history_head', encode(OLD.history_head, 'hex')));
    RETURN OLD;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_change(invoice bigint, kind text, subject uuid, was jsonb, became jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
    SELECT current_change(), i.uuid, $2, $3, $4, $5
    FROM invoices AS i WHERE i.id = invoice AND $4 IS DISTINCT FROM $5;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_changed_item() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM record_change(OLD.invoice_id, 'item', OLD.uuid, item_as_recorded(OLD), NULL);
    ELSIF OLD.invoice_id = NEW.invoice_id THEN
        PERFORM record_change(NEW.invoice_id, 'item', NEW.uuid,
            item_as_recorded(OLD), item_as_recorded(NEW));
    ELSE
        PERFORM record_change(OLD.invoice_id, 'item', OLD.uuid, item_as_recorded(OLD), NULL);
        PERFORM record_change(NEW.invoice_id, 'item', NEW.uuid, NULL, item_as_recorded(NEW));
    END IF;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_changed_payment() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM record_change(OLD.invoice_id, 'payment', OLD.uuid, payment_as_recorded(OLD), NULL);
    ELSIF OLD.invoice_id = NEW.invoice_id THEN
        PERFORM record_change(NEW.invoice_id, 'payment', NEW.uuid,
            payment_as_recorded(OLD), payment_as_recorded(NEW));
    ELSE
        PERFORM record_change(OLD.invoice_id, 'payment', OLD.uuid, payment_as_recorded(OLD), NULL);
        PERFORM record_change(NEW.invoice_id, 'payment', NEW.uuid, NULL, payment_as_recorded(NEW));
    END IF;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION tally_invoices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    added invoices[];
    removed invoices[];
    affected bigint[];
BEGIN
    IF TG_OP <> 'DELETE' THEN
        added := ARRAY(SELECT n::invoices FROM new_invoices AS n);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        removed := ARRAY(SELECT o::invoices FROM old_invoices AS o);
    END IF;

    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM (
        SELECT 1 AS sign, year, month, state, total_price, total_cost FROM unnest(added)
        UNION ALL
        SELECT -1, year, month, state, total_price, total_cost FROM unnest(removed)
    ) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    -- Other updates, such as that of a state, must not wait for a customer's row.
    affected := ARRAY(
        SELECT DISTINCT customer_id
        FROM (
            SELECT id, customer_id, created, total_cost FROM unnest(added)
            UNION ALL
            SELECT id, customer_id, created, total_cost FROM unnest(removed)
        ) AS change
        GROUP BY id, customer_id, created, total_cost
        HAVING count(*) = 1
        ORDER BY customer_id
    );
    IF affected = '{}' THEN
        RETURN NULL;
    END IF;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM unnest(affected) AS customer_id
    ON CONFLICT DO NOTHING;

    -- Lock the rows first: the next statement must see the latest `since` of each.
    PERFORM FROM customer_year_totals
    WHERE customer_id = ANY (affected)
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + change.invoices, total = kept.total + change.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM (
            SELECT 1 AS sign, customer_id, created, total_cost FROM unnest(added)
            UNION ALL
            SELECT -1, customer_id, created, total_cost FROM unnest(removed)
        ) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since AND customer_id = ANY (affected)
        GROUP BY customer_id
    ) AS change
    WHERE kept.customer_id = change.customer_id;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION alter_under_triggers(tables regclass[], alteration text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    removal text;
    creation text;
BEGIN
    SELECT string_agg(format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass), ';'),
           string_agg(pg_get_triggerdef(oid), ';')
    INTO removal, creation
    FROM pg_trigger
    WHERE tgrelid = ANY (tables) AND NOT tgisinternal;
    EXECUTE removal;
    EXECUTE alteration;
    EXECUTE creation;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION widen_amounts() RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM alter_under_triggers('{invoices, invoice_items, payments}', '
        ALTER TABLE invoices
            ALTER COLUMN total_price TYPE numeric,
            ALTER COLUMN total_cost TYPE numeric;
        ALTER TABLE invoice_items ALTER COLUMN price TYPE numeric;
        ALTER TABLE payments ALTER COLUMN sum TYPE numeric;
    ');
END
$$
""",
    """
CREATE OR REPLACE FUNCTION widen_taxes() RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'invoices'::regclass AND attname = 'tax_percent'
            AND format_type(atttypid, atttypmod) = 'numeric(5,2)'
    ) THEN
        PERFORM alter_under_triggers(
            '{invoices}', 'ALTER TABLE invoices ALTER COLUMN tax_percent TYPE numeric(5,2)'
        );
    END IF;
END
$$
""",
)

BEFORE: Final = (
    """
CREATE OR REPLACE FUNCTION record_new_invoices() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    this uuid := current_change();
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT this, n.uuid, 'invoice', n.uuid,
           jsonb_build_object(
               'uuid', n."uuid", 'number', n."number", 'year', n."year", 'month', n."month",
               'state', n."state", 'tax_percent', n."tax_percent", 'created', n."created",
               'invoice_date', n."invoice_date", 'due_date', n."due_date",
               'backend_id', n."backend_id",
               'payment_url', n."payment_url", 'reference_number', n."reference_number",
               'cancel_reason', n."cancel_reason", 'source', n."source",
               'total_price', n."total_price",
               'incurred_costs', n."incurred_costs", 'compensations', n."compensations",
               'customer', (SELECT uuid FROM customers WHERE id = n.customer_id)
           )
    FROM new_rows AS n;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_new_invoice_items() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    this uuid := current_change();
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT this, (SELECT uuid FROM invoices WHERE id = n.invoice_id), 'item', n.uuid,
           jsonb_build_object(
               'uuid', n."uuid", 'name', n."name", 'unit_price', n."unit_price",
               'quantity', n."quantity", 'unit', n."unit", 'measured_unit', n."measured_unit",
               'article_code', n."article_code", 'start', n."start", 'end', n."end",
               'project_name', n."project_name", 'project_uuid', n."project_uuid",
               'details', n."details", 'backend_uuid', n."backend_uuid", 'credit', n."credit",
               'price', n."price",
               'project', (SELECT uuid FROM projects WHERE id = n.project_id),
               'resource', (SELECT uuid FROM resources WHERE id = n.resource_id),
               'offering', (SELECT uuid FROM offerings WHERE id = n.offering_id),
               'plan_component', (SELECT uuid FROM plan_components WHERE id = n.plan_component_id),
               'customer_credit',
               (SELECT uuid FROM customer_credits WHERE id = n.customer_credit_id)
           )
    FROM new_rows AS n WHERE n.invoice_id IS NOT NULL;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_new_payments() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    this uuid := current_change();
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT this, (SELECT uuid FROM invoices WHERE id = n.invoice_id), 'payment', n.uuid,
           jsonb_build_object(
               'uuid', n."uuid", 'date_of_payment', n."date_of_payment", 'sum', n."sum",
               'proof_key', n."proof_key", 'proof_name', n."proof_name",
               'proof_media_type', n."proof_media_type", 'proof_size', n."proof_size",
               'proof_sha256', n."proof_sha256", 'created_at', n."created_at",
               'profile', (SELECT uuid FROM payment_profiles WHERE id = n.profile_id)
           )
    FROM new_rows AS n WHERE n.invoice_id IS NOT NULL;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_gone_invoice() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    SELECT current_change(), OLD.uuid, 'item', n.uuid,
           jsonb_build_object(
               'uuid', n."uuid", 'name', n."name", 'unit_price', n."unit_price",
               'quantity', n."quantity", 'unit', n."unit", 'measured_unit', n."measured_unit",
               'article_code', n."article_code", 'start', n."start", 'end', n."end",
               'project_name', n."project_name", 'project_uuid', n."project_uuid",
               'details', n."details", 'backend_uuid', n."backend_uuid", 'credit', n."credit",
               'price', n."price",
               'project', (SELECT uuid FROM projects WHERE id = n.project_id),
               'resource', (SELECT uuid FROM resources WHERE id = n.resource_id),
               'offering', (SELECT uuid FROM offerings WHERE id = n.offering_id),
               'plan_component', (SELECT uuid FROM plan_components WHERE id = n.plan_component_id),
               'customer_credit',
               (SELECT uuid FROM customer_credits WHERE id = n.customer_credit_id)
           )
    FROM invoice_items AS n WHERE n.invoice_id = OLD.id ORDER BY n.id;
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    VALUES (current_change(), OLD.uuid, 'invoice', OLD.uuid,
            invoice_as_recorded(OLD) || jsonb_build_object(
                'history_count', OLD.history_count,
                'history_head', encode(OLD.history_head, 'hex')));
    RETURN OLD;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_changed_item() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    before jsonb := item_as_recorded(OLD);
    after jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        after := item_as_recorded(NEW);
        IF OLD.invoice_id = NEW.invoice_id THEN
            IF before <> after THEN
                INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
                SELECT current_change(), uuid, 'item', NEW.uuid, before, after
                FROM invoices WHERE id = NEW.invoice_id;
            END IF;
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    SELECT current_change(), uuid, 'item', OLD.uuid, before
    FROM invoices WHERE id = OLD.invoice_id;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
        SELECT current_change(), uuid, 'item', NEW.uuid, after
        FROM invoices WHERE id = NEW.invoice_id;
    END IF;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_changed_payment() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    before jsonb := payment_as_recorded(OLD);
    after jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        after := payment_as_recorded(NEW);
        IF OLD.invoice_id = NEW.invoice_id THEN
            IF before <> after THEN
                INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
                SELECT current_change(), uuid, 'payment', NEW.uuid, before, after
                FROM invoices WHERE id = NEW.invoice_id;
            END IF;
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    SELECT current_change(), uuid, 'payment', OLD.uuid, before
    FROM invoices WHERE id = OLD.invoice_id;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
        SELECT current_change(), uuid, 'payment', NEW.uuid, after
        FROM invoices WHERE id = NEW.invoice_id;
    END IF;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION tally_invoices_on_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM (SELECT 1 AS sign, year, month, state, total_price, total_cost FROM new_invoices) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT DISTINCT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM (SELECT 1 AS sign, customer_id, created, total_cost FROM new_invoices) AS change
    ORDER BY customer_id
    ON CONFLICT DO NOTHING;

    -- Lock the rows first: the next statement must see the latest `since` of each.
    PERFORM FROM customer_year_totals
    WHERE customer_id IN (
        SELECT customer_id
        FROM (SELECT 1 AS sign, customer_id, created, total_cost FROM new_invoices) AS change
    )
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + added.invoices, total = kept.total + added.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM (SELECT 1 AS sign, customer_id, created, total_cost FROM new_invoices) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since
        GROUP BY customer_id
    ) AS added
    WHERE kept.customer_id = added.customer_id;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION tally_invoices_on_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM (
        SELECT -1 AS sign, year, month, state, total_price, total_cost FROM old_invoices
    ) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT DISTINCT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM (SELECT -1 AS sign, customer_id, created, total_cost FROM old_invoices) AS change
    ORDER BY customer_id
    ON CONFLICT DO NOTHING;

    -- Lock the rows first: the next statement must see the latest `since` of each.
    PERFORM FROM customer_year_totals
    WHERE customer_id IN (
        SELECT customer_id
        FROM (SELECT -1 AS sign, customer_id, created, total_cost FROM old_invoices) AS change
    )
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + added.invoices, total = kept.total + added.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM (SELECT -1 AS sign, customer_id, created, total_cost FROM old_invoices) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since
        GROUP BY customer_id
    ) AS added
    WHERE kept.customer_id = added.customer_id;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION tally_invoices_on_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM (
        (SELECT 1 AS sign, year, month, state, total_price, total_cost, id FROM new_invoices
         EXCEPT SELECT 1, year, month, state, total_price, total_cost, id FROM old_invoices)
        UNION ALL
        (SELECT -1, year, month, state, total_price, total_cost, id FROM old_invoices
         EXCEPT SELECT -1, year, month, state, total_price, total_cost, id FROM new_invoices)
    ) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT DISTINCT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM (
        (SELECT 1 AS sign, customer_id, created, total_cost, id FROM new_invoices
         EXCEPT SELECT 1, customer_id, created, total_cost, id FROM old_invoices)
        UNION ALL
        (SELECT -1, customer_id, created, total_cost, id FROM old_invoices
         EXCEPT SELECT -1, customer_id, created, total_cost, id FROM new_invoices)
    ) AS change
    ORDER BY customer_id
    ON CONFLICT DO NOTHING;

    -- Lock the rows first: the next statement must see the latest `since` of each.
    PERFORM FROM customer_year_totals
    WHERE customer_id IN (SELECT customer_id FROM (
        (SELECT 1 AS sign, customer_id, created, total_cost, id FROM new_invoices
         EXCEPT SELECT 1, customer_id, created, total_cost, id FROM old_invoices)
        UNION ALL
        (SELECT -1, customer_id, created, total_cost, id FROM old_invoices
         EXCEPT SELECT -1, customer_id, created, total_cost, id FROM new_invoices)
    ) AS change)
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + added.invoices, total = kept.total + added.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM (
        (SELECT 1 AS sign, customer_id, created, total_cost, id FROM new_invoices
         EXCEPT SELECT 1, customer_id, created, total_cost, id FROM old_invoices)
        UNION ALL
        (SELECT -1, customer_id, created, total_cost, id FROM old_invoices
         EXCEPT SELECT -1, customer_id, created, total_cost, id FROM new_invoices)
    ) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since
        GROUP BY customer_id
    ) AS added
    WHERE kept.customer_id = added.customer_id;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION widen_amounts() RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DROP TRIGGER record_changed ON invoices;
    DROP TRIGGER keep_total_cost_on_insert ON invoices;
    DROP TRIGGER keep_total_cost_on_update ON invoices;
    DROP TRIGGER price_1_mark ON invoice_items;
    DROP TRIGGER price_2_keep ON invoice_items;
    DROP TRIGGER price_3_fill ON invoice_items;
    DROP TRIGGER hold_prices_on_insert ON invoice_items;
    DROP TRIGGER hold_prices_on_update ON invoice_items;
    ALTER TABLE invoices
        ALTER COLUMN total_price TYPE numeric,
        ALTER COLUMN total_cost TYPE numeric;
    ALTER TABLE invoice_items ALTER COLUMN price TYPE numeric;
    ALTER TABLE payments ALTER COLUMN sum TYPE numeric;
    CREATE TRIGGER record_changed AFTER UPDATE OF
        uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
        payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
        compensations, customer_id
        ON invoices
        FOR EACH ROW EXECUTE FUNCTION record_changed_invoice();
    CREATE TRIGGER keep_total_cost_on_insert BEFORE INSERT ON invoices
        FOR EACH ROW EXECUTE FUNCTION keep_total_cost();
    CREATE TRIGGER keep_total_cost_on_update BEFORE UPDATE ON invoices
        FOR EACH ROW
        WHEN ((NEW.total_price, NEW.tax_percent, NEW.total_cost)
              IS DISTINCT FROM (OLD.total_price, OLD.tax_percent, OLD.total_cost))
        EXECUTE FUNCTION keep_total_cost();
    CREATE TRIGGER price_1_mark BEFORE UPDATE OF unit_price, quantity ON invoice_items
        FOR EACH ROW
        WHEN ((NEW.unit_price, NEW.quantity) IS DISTINCT FROM (OLD.unit_price, OLD.quantity)
              AND NEW.price = OLD.price)
        EXECUTE FUNCTION mark_item_price();
    CREATE TRIGGER price_2_keep BEFORE UPDATE OF price ON invoice_items
        FOR EACH ROW
        WHEN (NEW.price = 'NaN')
        EXECUTE FUNCTION keep_item_price();
    CREATE TRIGGER price_3_fill BEFORE INSERT OR UPDATE ON invoice_items
        FOR EACH ROW
        WHEN (NEW.price IS NULL OR NEW.price = 'NaN')
        EXECUTE FUNCTION fill_item_price();
    CREATE TRIGGER hold_prices_on_insert AFTER INSERT ON invoice_items
        REFERENCING NEW TABLE AS new_items
        FOR EACH STATEMENT EXECUTE FUNCTION hold_item_prices();
    CREATE TRIGGER hold_prices_on_update AFTER UPDATE ON invoice_items
        REFERENCING OLD TABLE AS old_items NEW TABLE AS new_items
        FOR EACH STATEMENT EXECUTE FUNCTION hold_item_prices();
END
$$
""",
    """
CREATE OR REPLACE FUNCTION widen_taxes() RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'invoices'::regclass AND attname = 'tax_percent'
            AND format_type(atttypid, atttypmod) = 'numeric(5,2)'
    ) THEN
        RETURN;
    END IF;
    DROP TRIGGER record_changed ON invoices;
    DROP TRIGGER keep_total_cost_on_update ON invoices;
    ALTER TABLE invoices ALTER COLUMN tax_percent TYPE numeric(5,2);
    CREATE TRIGGER record_changed AFTER UPDATE OF
        uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
        payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
        compensations, customer_id
        ON invoices
        FOR EACH ROW EXECUTE FUNCTION record_changed_invoice();
    CREATE TRIGGER keep_total_cost_on_update BEFORE UPDATE ON invoices
        FOR EACH ROW
        WHEN ((NEW.total_price, NEW.tax_percent, NEW.total_cost)
              IS DISTINCT FROM (OLD.total_price, OLD.tax_percent, OLD.total_cost))
        EXECUTE FUNCTION keep_total_cost();
END
$$
""",
)

TRANSITION_TABLES: Final = {
    "delete": "OLD TABLE AS old_invoices",
    "insert": "NEW TABLE AS new_invoices",
    "update": "OLD TABLE AS old_invoices NEW TABLE AS new_invoices",
}

KEEP_TOTAL_COST: Final = """
CREATE OR REPLACE TRIGGER keep_total_cost_on_update BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN ({condition})
    EXECUTE FUNCTION keep_total_cost()
"""
# PostgreSQL prints this condition as it was given, so that `alter_under_triggers` can repeat it.
ANY_DIFFERS: Final = (
    "NEW.total_price IS DISTINCT FROM OLD.total_price"
    " OR NEW.tax_percent IS DISTINCT FROM OLD.tax_percent"
    " OR NEW.total_cost IS DISTINCT FROM OLD.total_cost"
)
ROW_DIFFERS: Final = (
    "(NEW.total_price, NEW.tax_percent, NEW.total_cost)"
    " IS DISTINCT FROM (OLD.total_price, OLD.tax_percent, OLD.total_cost)"
)


def create(functions: Iterable[str]) -> None:
    for function in functions:
        op.execute(function)


def upgrade() -> None:
    create(AFTER)
    op.execute(KEEP_TOTAL_COST.format(condition=ANY_DIFFERS))
    for operation, tables in TRANSITION_TABLES.items():
        op.execute(
            f"CREATE OR REPLACE TRIGGER tally_on_{operation} AFTER {operation} ON invoices"
            f" REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION tally_invoices()"
        )
        op.execute(f"DROP FUNCTION tally_invoices_on_{operation}()")


def downgrade() -> None:
    create(BEFORE)
    op.execute(KEEP_TOTAL_COST.format(condition=ROW_DIFFERS))
    for operation, tables in TRANSITION_TABLES.items():
        op.execute(
            f"CREATE OR REPLACE TRIGGER tally_on_{operation} AFTER {operation} ON invoices"
            f" REFERENCING {tables} FOR EACH STATEMENT"
            f" EXECUTE FUNCTION tally_invoices_on_{operation}()"
        )
    op.execute("DROP FUNCTION tally_invoices()")
    op.execute("DROP FUNCTION alter_under_triggers(regclass[], text)")
    op.execute("DROP FUNCTION record_change(bigint, text, uuid, jsonb, jsonb)")
