-- Every change of an invoice, its items and its payments leaves rows in `invoice_changes`, whoever
-- makes it. The service seals them with entries in `invoice_history` (app/audit/writer.py). See
-- docs/audit.md.

-- Returns the id of the current transaction's change: the same for all its rows, until the service
-- seals them and resets the setting.
CREATE FUNCTION current_change() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    known text := current_setting('invoicing.change', true);
BEGIN
    IF coalesce(known, '') = '' THEN
        known := gen_random_uuid()::text;
        PERFORM set_config('invoicing.change', known, true);
    END IF;
    RETURN known::uuid;
END
$$;

-- What the audit record holds of a row. References are recorded by UUID, since keys mean nothing
-- elsewhere. Derived columns and those of the record itself are left out.
CREATE FUNCTION recorded_invoice(given invoices, customer uuid, document bytea) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'number', given."number", 'year', given."year",
        'month', given."month", 'state', given."state", 'tax_percent', given."tax_percent",
        'created', given."created", 'invoice_date', given."invoice_date",
        'due_date', given."due_date", 'backend_id', given."backend_id",
        'payment_url', given."payment_url", 'reference_number', given."reference_number",
        'cancel_reason', given."cancel_reason", 'source', given."source",
        'total_price', given."total_price", 'incurred_costs', given."incurred_costs",
        'compensations', given."compensations", 'customer', customer,
        'document', encode(document, 'hex'), 'credited', nullif(given."credited", 0)
    )
$$;

CREATE FUNCTION invoice_as_recorded(given invoices) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT recorded_invoice(
        given,
        (SELECT uuid FROM customers WHERE id = given.customer_id),
        (
            SELECT digest FROM invoice_documents
            WHERE invoice_id = given.id AND version = given.document_version
        )
    )
$$;

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
$$;

CREATE FUNCTION item_as_recorded(given invoice_items) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT recorded_item(
        given,
        (SELECT uuid FROM projects WHERE id = given.project_id),
        (SELECT uuid FROM resources WHERE id = given.resource_id),
        (SELECT uuid FROM offerings WHERE id = given.offering_id),
        (SELECT uuid FROM plan_components WHERE id = given.plan_component_id),
        (SELECT uuid FROM customer_credits WHERE id = given.customer_credit_id)
    )
$$;

CREATE FUNCTION recorded_payment(given payments, profile uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'date_of_payment', given."date_of_payment", 'sum', given."sum",
        'proof_key', given."proof_key", 'proof_name', given."proof_name",
        'proof_media_type', given."proof_media_type", 'proof_size', given."proof_size",
        'proof_sha256', given."proof_sha256", 'created_at', given."created_at",
        'profile', profile
    )
$$;

CREATE FUNCTION payment_as_recorded(given payments) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT recorded_payment(
        given, (SELECT uuid FROM payment_profiles WHERE id = given.profile_id)
    )
$$;

-- Hold true: each inserted row is recorded. They run once for a statement, which may insert many
-- rows. They select the references themselves: a function that selects is executed for each row
-- alone. Their plans are kept while the tables grow, and must not scan one that is still empty.
CREATE FUNCTION record_new_invoices() RETURNS trigger LANGUAGE plpgsql
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
$$;

CREATE FUNCTION record_new_invoice_items() RETURNS trigger LANGUAGE plpgsql
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
$$;

CREATE FUNCTION record_new_payments() RETURNS trigger LANGUAGE plpgsql
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
$$;

-- Holds true: each update of an invoice records the columns that change, before and after; one that
-- gets another key is recorded whole, as gone and as new. It runs once for a statement, which may
-- update many rows. Its plan is kept while the tables grow, so that it must not scan one that is
-- still empty.
CREATE FUNCTION record_changed_invoices() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
    SELECT (SELECT current_change()), uuid, 'invoice', uuid,
           CASE WHEN o_id IS NULL OR n_id IS NULL THEN before ELSE fields.was END,
           CASE WHEN o_id IS NULL OR n_id IS NULL THEN after ELSE fields.became END
    FROM (
        SELECT coalesce(n.uuid, o.uuid) AS uuid, o.id AS o_id, n.id AS n_id,
               CASE WHEN o.id IS NOT NULL
                    THEN recorded_invoice(o::invoices, was_of.uuid, was_shown.digest) END AS before,
               CASE WHEN n.id IS NOT NULL
                    THEN recorded_invoice(n::invoices, is_of.uuid, is_shown.digest) END AS after
        FROM old_invoices AS o FULL JOIN new_invoices AS n ON n.id = o.id
        LEFT JOIN customers AS was_of ON was_of.id = o.customer_id
        LEFT JOIN customers AS is_of ON is_of.id = n.customer_id
        LEFT JOIN invoice_documents AS was_shown
            ON was_shown.invoice_id = o.id AND was_shown.version = o.document_version
        LEFT JOIN invoice_documents AS is_shown
            ON is_shown.invoice_id = n.id AND is_shown.version = n.document_version
        WHERE (o.uuid, o.number, o.year, o.month, o.state, o.tax_percent, o.created,
               o.invoice_date, o.due_date, o.backend_id, o.payment_url, o.reference_number,
               o.cancel_reason, o.source, o.total_price, o.incurred_costs, o.compensations,
               o.customer_id, o.document_version, o.credited)
            IS DISTINCT FROM
              (n.uuid, n.number, n.year, n.month, n.state, n.tax_percent, n.created,
               n.invoice_date, n.due_date, n.backend_id, n.payment_url, n.reference_number,
               n.cancel_reason, n.source, n.total_price, n.incurred_costs, n.compensations,
               n.customer_id, n.document_version, n.credited)
        OFFSET 0
    ) AS changed
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(key, value) AS was, jsonb_object_agg(key, after -> key) AS became
        FROM jsonb_each(before)
        WHERE value <> after -> key
    ) AS fields
    WHERE o_id IS NULL OR n_id IS NULL OR fields.was IS NOT NULL;
    RETURN NULL;
END
$$;

-- Holds true: a deleted invoice is recorded with its items. It runs before the delete, since
-- afterwards the items could not name the invoice. The last change also keeps the count and head of
-- the audit record, which exist nowhere else then.
CREATE FUNCTION record_gone_invoice() RETURNS trigger LANGUAGE plpgsql
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
$$;

-- Records a change of an item or a payment of an invoice, unless what is recorded stays the same.
CREATE FUNCTION record_change(invoice bigint, kind text, subject uuid, was jsonb, became jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
    SELECT current_change(), i.uuid, $2, $3, $4, $5
    FROM invoices AS i WHERE i.id = invoice AND $4 IS DISTINCT FROM $5;
END
$$;

-- Hold true: each update and delete of an item or a payment records the whole row, before and
-- after. A row that moves to another invoice is recorded as removed there and added here.
CREATE FUNCTION record_changed_item() RETURNS trigger LANGUAGE plpgsql
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
$$;

CREATE FUNCTION record_changed_payment() RETURNS trigger LANGUAGE plpgsql
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
$$;

CREATE TRIGGER record_changed AFTER UPDATE OR DELETE ON invoice_items
    FOR EACH ROW EXECUTE FUNCTION record_changed_item();

CREATE TRIGGER record_new AFTER INSERT ON invoice_items
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_new_invoice_items();

CREATE TRIGGER record_changed AFTER UPDATE ON invoices
    REFERENCING OLD TABLE AS old_invoices NEW TABLE AS new_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION record_changed_invoices();

CREATE TRIGGER record_gone BEFORE DELETE ON invoices
    FOR EACH ROW EXECUTE FUNCTION record_gone_invoice();

CREATE TRIGGER record_new AFTER INSERT ON invoices
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_new_invoices();

CREATE TRIGGER record_changed AFTER UPDATE OR DELETE ON payments
    FOR EACH ROW EXECUTE FUNCTION record_changed_payment();

CREATE TRIGGER record_new AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_new_payments();
