-- Removes the limit of two decimals from the amount columns. The service calls it when a currency
-- with three or four decimals is set, and may call it again. It is not done for other currencies:
-- an open session cannot execute a prepared statement after the type of a result column changed.
--
-- SECURITY DEFINER lets the service's role call it without owning the tables. A column's type
-- cannot change while a trigger names the column, so the function drops these triggers and creates
-- them again. Keep their text equal to the other files; a test compares.

CREATE FUNCTION widen_amounts() RETURNS void LANGUAGE plpgsql
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
$$;
