"""Charges of the first and the last days of the calendar."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.options import FocusImportOptions
from app.invoices.models import InvoiceItem
from app.settings import Settings
from tests.dataio.focus.files import row, write


async def test_charges_of_the_first_moment_of_the_calendar_keep_it(
    database: Database, settings: Settings, connection: AsyncConnection, tmp_path: Path
) -> None:
    first = row(
        BillingPeriodStart="0001-01-01T00:00:00Z",
        BillingPeriodEnd="0001-02-01T00:00:00Z",
        ChargePeriodStart="0001-01-01T00:00:00Z",
        ChargePeriodEnd="0001-01-01T00:00:00Z",
    )
    await import_focus_files(
        database, settings, [write(tmp_path / "costs.csv", [first])], FocusImportOptions()
    )
    times = (await connection.execute(select(InvoiceItem.start, InvoiceItem.end))).one()
    assert times == (datetime.min.replace(tzinfo=UTC),) * 2


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+05:00", "10000-01-01", "infinity"])
async def test_a_time_outside_of_the_calendar_is_refused(
    database: Database, settings: Settings, tmp_path: Path, moment: str
) -> None:
    path = write(tmp_path / "costs.csv", [row(ChargePeriodEnd=moment)])
    with pytest.raises(FocusImportError, match="line 2: ChargePeriodEnd is not a date and time"):
        await import_focus_files(database, settings, [path], FocusImportOptions())
