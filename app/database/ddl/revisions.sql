-- Revisions name a state of the data. The response cache and exports compare them.

-- Holds true: `invoices.revision` rises with every change of the invoice or its totals. Storing the
-- import's revision, the audit record's count and head, or the version of the document alone is not a
-- change of the invoice.
CREATE FUNCTION revise_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted invoices := OLD;
BEGIN
    noted.imported_revision := NEW.imported_revision;
    noted.history_count := NEW.history_count;
    noted.history_head := NEW.history_head;
    noted.document_version := NEW.document_version;
    noted.total_cost := NEW.total_cost;  -- it follows from other columns
    IF (NEW.imported_revision, NEW.history_count, NEW.history_head, NEW.document_version)
       IS NOT DISTINCT FROM (
           OLD.imported_revision, OLD.history_count, OLD.history_head, OLD.document_version
       )
       OR NEW IS DISTINCT FROM noted THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END
$$;

-- Holds true: `reference_revision.revision` rises when a row that invoice items refer to changes.
-- All these tables share one number: they change rarely.
CREATE FUNCTION revise_references() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        UPDATE reference_revision SET revision = revision + 1;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER revise_references_on_update AFTER UPDATE ON categories
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise_references_on_update AFTER UPDATE ON customers
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise BEFORE UPDATE ON invoices
    FOR EACH ROW EXECUTE FUNCTION revise_invoice();

CREATE TRIGGER revise_references_on_update AFTER UPDATE ON offering_components
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise_references_on_update AFTER UPDATE ON offerings
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise_references_on_update AFTER UPDATE ON plan_components
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise_references_on_update AFTER UPDATE ON projects
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise_references_on_update AFTER UPDATE ON resources
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise_references_on_delete AFTER DELETE ON service_providers
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise_references_on_insert AFTER INSERT ON service_providers
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();

CREATE TRIGGER revise_references_on_update AFTER UPDATE ON service_providers
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION revise_references();
