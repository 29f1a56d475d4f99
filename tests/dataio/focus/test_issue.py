"""`--issue` issues the invoices of a bill after they are stored."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.dataio.focus.bill_importer import BillImporter
from tests.dataio.focus.files import row

BILL = [
    row(BillingAccountId=f"acc-{number}", BillingAccountName=f"Account {number}")
    for number in range(6)
]


async def test_the_invoices_of_a_bill_are_issued_together_and_sealed(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    report = await importer(*BILL, issue=True)
    assert (report.issued, report.not_issued) == (6, [])
    entries = "SELECT count(*) FROM invoice_history GROUP BY change"
    assert (await connection.execute(text(entries))).scalars().all() == [6, 6]


async def test_an_invoice_that_cannot_be_issued_is_named_and_stops_no_other(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    for statement in (
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT number FROM invoices WHERE id = NEW.invoice_id) = 100003 THEN
                RAISE 'no document'; END IF;
            RETURN NEW; END $$""",
        """CREATE TRIGGER refuse BEFORE INSERT ON invoice_documents FOR EACH ROW
            EXECUTE FUNCTION refuse()""",
    ):
        await connection.execute(text(statement))
    report = await importer(*BILL, issue=True)
    assert report.issued == 5
    [failure] = report.not_issued
    assert failure.startswith("Not issued: invoice 100003: ")
    assert "no document" in failure
    pending = "SELECT number FROM invoices WHERE state = 'pending'"
    assert (await connection.execute(text(pending))).scalars().all() == [100_003]
    assert (await importer(*BILL, issue=True)).not_issued == report.not_issued
