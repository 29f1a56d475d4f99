-- Widens the tax of invoices to 100 % and more. The import of the first such tax calls it, and may
-- call it again. It is not done otherwise: an open session cannot execute a prepared statement after
-- the type of a result column changed.
-- SECURITY DEFINER lets the service's role call it without owning the table.

CREATE FUNCTION widen_taxes() RETURNS void LANGUAGE plpgsql
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
$$;
