-- Holds true: `invoices.credited` is the sum of the credit notes of the invoice, which are only added.
CREATE FUNCTION add_credit_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE invoices SET credited = credited + NEW.gross WHERE id = NEW.invoice_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER add_up AFTER INSERT ON credit_notes
    FOR EACH ROW EXECUTE FUNCTION add_credit_note();
