"""`audit`: its output and its exit status."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.settings import Settings
from tests.cli.test_data import call
from tests.support.factories import Factories


async def test_unsealed_changes_are_reported_and_adopted(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    empty = await call(settings, "audit", "verify")
    assert (empty.exit_code, empty.stdout) == (0, "Records: 0; entries: 0; discrepancies: 0.\n")
    invoice = await make.invoice(await make.customer(), number=100500)
    found = await call(settings, "audit", "verify")
    assert found.exit_code == 1
    assert found.stdout.splitlines() == [
        f"invoice {invoice.uuid} (number 100500):"
        " 1 change without an entry: made outside the service or by an earlier release",
        f"invoice {invoice.uuid} (number 100500): no record",
        "Records: 0; entries: 0; discrepancies: 2.",
    ]
    without = await call(settings, "audit", "adopt", "--why", " ")
    assert without.exit_code == 2
    adopted = await call(settings, "audit", "adopt", "--why", "an upgrade")
    assert (adopted.exit_code, adopted.stdout) == (0, "Changes sealed: 1; records started: 0.\n")
    canceled = await call(settings, "invoice", "cancel", str(invoice.uuid), "--why", "a mistake")
    assert canceled.exit_code == 0, canceled.output
    comments = await connection.execute(
        text("SELECT operation, comment FROM invoice_history ORDER BY id")
    )
    assert [tuple(row) for row in comments] == [
        ("audit_adopt", "an upgrade"),
        ("cancel", "a mistake"),
    ]
    well = await call(settings, "audit", "verify")
    assert (well.exit_code, well.stdout) == (0, "Records: 1; entries: 2; discrepancies: 0.\n")
