"""An invoice that cannot be frozen or stored as bytes does not stop the others."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.invoices.jobs.freeze_issued import freeze_issued
from app.invoices.jobs.represent_issued import represent_issued
from app.outbox.outcome import JobSummary
from app.settings import Settings
from tests.support.factories import Factories, Row

Job = Callable[[Database, Settings], Awaitable[JobSummary]]


@pytest.fixture
async def issued(make: Factories) -> list[Row]:
    """Five issued invoices with an item each."""
    made = []
    for number in range(5):
        invoice = await make.invoice(
            await make.customer(), state=InvoiceState.CREATED, number=300 + number
        )
        await make.item(invoice)
        made.append(invoice)
    return made


async def refuse(connection: AsyncConnection, table: str, *invoices: Row) -> None:
    """Let the table refuse the rows of invoices."""
    keys = ", ".join(str(invoice.id) for invoice in invoices)
    await connection.execute(
        text(
            f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK (invoice_id NOT IN ({keys}))"
            " NOT VALID"
        )
    )


async def test_the_others_are_frozen_and_the_failing_ones_are_named(
    connection: AsyncConnection, database: Database, settings: Settings, issued: list[Row]
) -> None:
    await refuse(connection, "invoice_documents", issued[1], issued[4])
    summary = await freeze_issued(database, settings)
    assert summary.counts == {"frozen": 3}
    assert [line.split(":")[0] for line in summary.failures] == ["invoice 301", "invoice 304"]
    await connection.execute(text("ALTER TABLE invoice_documents DROP CONSTRAINT refused"))
    again = await freeze_issued(database, settings)
    assert (again.counts, again.failures) == ({"frozen": 2}, [])


async def test_the_others_are_stored_and_the_failing_one_is_named(
    connection: AsyncConnection, database: Database, settings: Settings, issued: list[Row]
) -> None:
    await freeze_issued(database, settings)
    await refuse(connection, "lines_representations", issued[2])
    summary = await represent_issued(database, settings)
    assert summary.counts == {"stored": 4}
    assert [line.split(":")[0] for line in summary.failures] == ["invoice 302"]
    await connection.execute(text("ALTER TABLE lines_representations DROP CONSTRAINT refused"))
    again = await represent_issued(database, settings)
    assert (again.counts, again.failures) == ({"stored": 1}, [])


@pytest.mark.parametrize("job", [freeze_issued, represent_issued])
async def test_an_unavailable_database_ends_the_job(job: Job, settings: Settings) -> None:
    gone = Database(
        settings.model_copy(update={"database_url": "postgresql+asyncpg://localhost:1/gone"})
    )
    with pytest.raises(DatabaseUnavailable):
        await job(gone, settings)
    await gone.close()
