-- Widens the tax of invoices to 100 % and more. The import of the first such tax calls it, and may
-- call it again. It is not done otherwise: an open session cannot execute a prepared statement after
-- the type of a result column changed.
--
-- SECURITY DEFINER lets the service's role call it without owning the table. A column's type cannot
-- change while a trigger names the column, so the function drops these triggers and creates them
-- again. Keep their text equal to the other files; a test compares.

CREATE FUNCTION widen_taxes() RETURNS void LANGUAGE plpgsql
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
$$;
