-- Removes the limit of two decimals from the amount columns. The service calls it when a currency
-- with three or four decimals is set, and may call it again. It is not done for other currencies:
-- an open session cannot execute a prepared statement after the type of a result column changed.
-- SECURITY DEFINER lets the service's role call it without owning the tables.

CREATE FUNCTION widen_amounts() RETURNS void LANGUAGE plpgsql
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
$$;
