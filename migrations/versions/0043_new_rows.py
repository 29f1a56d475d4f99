"""new rows

A statement that inserts many items or payments records them at once.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0043"
down_revision: str | None = "0042"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AFTER: Final = (
    """
CREATE FUNCTION recorded_item(
    given invoice_items, project uuid, resource uuid, offering uuid, plan_component uuid,
    customer_credit uuid
) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'name', given."name", 'unit_price', given."unit_price",
        'quantity', given."quantity", 'unit', given."unit",
        'measured_unit', given."measured_unit", 'article_code', given."article_code",
        'start', given."start", 'end', given."end", 'project_name', given."project_name",
        'project_uuid', given."project_uuid", 'details', given."details",
        'backend_uuid', given."backend_uuid", 'credit', given."credit", 'price', given."price",
        'project', project, 'resource', resource, 'offering', offering,
        'plan_component', plan_component, 'customer_credit', customer_credit
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION item_as_recorded(given invoice_items) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT recorded_item(
        given,
        (SELECT uuid FROM projects WHERE id = given.project_id),
        (SELECT uuid FROM resources WHERE id = given.resource_id),
        (SELECT uuid FROM offerings WHERE id = given.offering_id),
        (SELECT uuid FROM plan_components WHERE id = given.plan_component_id),
        (SELECT uuid FROM customer_credits WHERE id = given.customer_credit_id)
    )
$$
""",
    """
CREATE FUNCTION recorded_payment(given payments, profile uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'date_of_payment', given."date_of_payment", 'sum', given."sum",
        'proof_key', given."proof_key", 'proof_name', given."proof_name",
        'proof_media_type', given."proof_media_type", 'proof_size', given."proof_size",
        'proof_sha256', given."proof_sha256", 'created_at', given."created_at",
        'profile', profile
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION payment_as_recorded(given payments) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT recorded_payment(
        given, (SELECT uuid FROM payment_profiles WHERE id = given.profile_id)
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION record_new_invoices() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT (SELECT current_change()), n.uuid, 'invoice', n.uuid,
           recorded_invoice(
               n::invoices,
               (SELECT uuid FROM customers WHERE id = n.customer_id),
               (
                   SELECT digest FROM invoice_documents
                   WHERE invoice_id = n.id AND version = n.document_version
               )
           )
    FROM new_rows AS n;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_new_invoice_items() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT (SELECT current_change()),
           (SELECT uuid FROM invoices WHERE id = n.invoice_id), 'item', n.uuid,
           recorded_item(
               n::invoice_items,
               (SELECT uuid FROM projects WHERE id = n.project_id),
               (SELECT uuid FROM resources WHERE id = n.resource_id),
               (SELECT uuid FROM offerings WHERE id = n.offering_id),
               (SELECT uuid FROM plan_components WHERE id = n.plan_component_id),
               (SELECT uuid FROM customer_credits WHERE id = n.customer_credit_id)
           )
    FROM new_rows AS n;
    RETURN NULL;
END
$$
""",
    """
CREATE OR REPLACE FUNCTION record_new_payments() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT (SELECT current_change()),
           (SELECT uuid FROM invoices WHERE id = n.invoice_id), 'payment', n.uuid,
           recorded_payment(
               n::payments, (SELECT uuid FROM payment_profiles WHERE id = n.profile_id)
           )
    FROM new_rows AS n WHERE n.invoice_id IS NOT NULL;
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION recorded_linked_payment(given payments, profile uuid, invoice uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT recorded_payment(given, profile) || jsonb_build_object('invoice', invoice)
$$
""",
    """
CREATE OR REPLACE FUNCTION linked_payment_as_recorded(given payments) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT recorded_linked_payment(
        given,
        (SELECT uuid FROM payment_profiles WHERE id = given.profile_id),
        (SELECT uuid FROM invoices WHERE id = given.invoice_id)
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION subject_as_recorded(kind text, subject uuid) RETURNS jsonb LANGUAGE plpgsql STABLE
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    CASE kind
        WHEN 'customer_credit' THEN
            RETURN (
                SELECT customer_credit_as_recorded(r) FROM customer_credits AS r
                WHERE r.uuid = subject
            );
        WHEN 'project_credit' THEN
            RETURN (
                SELECT project_credit_as_recorded(r) FROM project_credits AS r
                WHERE r.uuid = subject
            );
        WHEN 'customer_affiliate' THEN
            RETURN (
                SELECT customer_affiliate_as_recorded(r) FROM customer_affiliates AS r
                WHERE r.uuid = subject
            );
        WHEN 'payment_profile' THEN
            RETURN (
                SELECT payment_profile_as_recorded(r) FROM payment_profiles AS r
                WHERE r.uuid = subject
            );
        WHEN 'payment' THEN
            RETURN (
                SELECT recorded_linked_payment(
                    r,
                    (SELECT uuid FROM payment_profiles WHERE id = r.profile_id),
                    (SELECT uuid FROM invoices WHERE id = r.invoice_id)
                )
                FROM payments AS r WHERE r.uuid = subject
            );
        WHEN 'credit_note' THEN
            RETURN (
                SELECT credit_note_as_recorded(r) FROM credit_notes AS r WHERE r.uuid = subject
            );
        ELSE
            RETURN NULL;
    END CASE;
END
$$
""",
    """
CREATE FUNCTION record_changed_payment_subject() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('payment',
        linked_payment_as_recorded(OLD),
        CASE WHEN TG_OP <> 'DELETE' THEN linked_payment_as_recorded(NEW) END);
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION record_new_payment_subjects() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO subject_changes (change, subject_uuid, kind, became)
    SELECT (SELECT current_change()), n.uuid, 'payment',
           recorded_linked_payment(
               n::payments,
               (SELECT uuid FROM payment_profiles WHERE id = n.profile_id),
               (SELECT uuid FROM invoices WHERE id = n.invoice_id)
           )
    FROM new_rows AS n;
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
    IF TG_OP = 'UPDATE' THEN
        IF NOT EXISTS (
            SELECT id, year, month, state, total_price, total_cost, customer_id, created
            FROM new_invoices
            EXCEPT
            SELECT id, year, month, state, total_price, total_cost, customer_id, created
            FROM old_invoices
        ) THEN
            RETURN NULL;
        END IF;
    END IF;
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
    "DROP TRIGGER record_subject ON payments",
    """
CREATE TRIGGER record_subject AFTER UPDATE OR DELETE ON payments
    FOR EACH ROW EXECUTE FUNCTION record_changed_payment_subject()
""",
    """
CREATE TRIGGER record_new_subjects AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_new_payment_subjects()
""",
    "DROP FUNCTION record_payment",
)

BEFORE: Final = (
    """
CREATE FUNCTION record_payment() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('payment',
        CASE WHEN TG_OP <> 'INSERT' THEN linked_payment_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN linked_payment_as_recorded(NEW) END);
    RETURN NULL;
END
$$
""",
    "DROP TRIGGER record_new_subjects ON payments",
    "DROP TRIGGER record_subject ON payments",
    """
CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON payments
    FOR EACH ROW EXECUTE FUNCTION record_payment()
""",
    """
CREATE OR REPLACE FUNCTION item_as_recorded(given invoice_items) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'name', given."name", 'unit_price', given."unit_price",
        'quantity', given."quantity", 'unit', given."unit",
        'measured_unit', given."measured_unit", 'article_code', given."article_code",
        'start', given."start", 'end', given."end", 'project_name', given."project_name",
        'project_uuid', given."project_uuid", 'details', given."details",
        'backend_uuid', given."backend_uuid", 'credit', given."credit", 'price', given."price",
        'project', (SELECT uuid FROM projects WHERE id = given.project_id),
        'resource', (SELECT uuid FROM resources WHERE id = given.resource_id),
        'offering', (SELECT uuid FROM offerings WHERE id = given.offering_id),
        'plan_component', (SELECT uuid FROM plan_components WHERE id = given.plan_component_id),
        'customer_credit', (SELECT uuid FROM customer_credits WHERE id = given.customer_credit_id)
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION payment_as_recorded(given payments) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'date_of_payment', given."date_of_payment", 'sum', given."sum",
        'proof_key', given."proof_key", 'proof_name', given."proof_name",
        'proof_media_type', given."proof_media_type", 'proof_size', given."proof_size",
        'proof_sha256', given."proof_sha256", 'created_at', given."created_at",
        'profile', (SELECT uuid FROM payment_profiles WHERE id = given.profile_id)
    )
$$
""",
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
CREATE OR REPLACE FUNCTION linked_payment_as_recorded(given payments) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT payment_as_recorded(given) || jsonb_build_object(
        'invoice', (SELECT uuid FROM invoices WHERE id = given.invoice_id)
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION subject_as_recorded(kind text, subject uuid) RETURNS jsonb LANGUAGE sql STABLE
SET timezone = 'UTC' AS $$
    SELECT CASE $1
        WHEN 'customer_credit' THEN (
            SELECT customer_credit_as_recorded(r) FROM customer_credits AS r WHERE r.uuid = $2)
        WHEN 'project_credit' THEN (
            SELECT project_credit_as_recorded(r) FROM project_credits AS r WHERE r.uuid = $2)
        WHEN 'customer_affiliate' THEN (
            SELECT customer_affiliate_as_recorded(r) FROM customer_affiliates AS r
            WHERE r.uuid = $2)
        WHEN 'payment_profile' THEN (
            SELECT payment_profile_as_recorded(r) FROM payment_profiles AS r WHERE r.uuid = $2)
        WHEN 'payment' THEN (
            SELECT linked_payment_as_recorded(r) FROM payments AS r WHERE r.uuid = $2)
        WHEN 'credit_note' THEN (
            SELECT credit_note_as_recorded(r) FROM credit_notes AS r WHERE r.uuid = $2)
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
    "DROP FUNCTION record_new_payment_subjects",
    "DROP FUNCTION record_changed_payment_subject",
    "DROP FUNCTION recorded_linked_payment",
    "DROP FUNCTION recorded_payment",
    "DROP FUNCTION recorded_item",
)


def upgrade() -> None:
    for statement in AFTER:
        op.execute(statement)


def downgrade() -> None:
    for statement in BEFORE:
        op.execute(statement)
