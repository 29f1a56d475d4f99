"""Imports cost exports in tests, and reads the stored records."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.customers.models import Customer
from app.database.engine import Database
from app.dataio.focus import identifiers
from app.dataio.focus.charge_groups import make_account_key
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.import_report import FocusImportReport, InvoiceOutcome
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.options import FocusImportOptions
from app.invoices.models import InvoiceItem
from app.settings import Settings
from tests.dataio.focus.files import BASIC, write
from tests.support.factories import Factories, Row

OCTOBER = {
    "BillingPeriodStart": "2026-10-01",
    "BillingPeriodEnd": "2026-11-01",
    "ChargePeriodStart": "2026-10-02",
    "ChargePeriodEnd": "2026-10-03",
}


class BillImporter:
    """Imports rows as one file, and reads the database."""

    def __init__(self, database: Database, settings: Settings, directory: Path) -> None:
        self.database, self.settings, self.directory = database, settings, directory

    async def __call__(self, *rows: dict[str, str], **options: Any) -> FocusImportReport:
        columns = list(dict.fromkeys([*BASIC, *(title for each in rows for title in each)]))
        path = write(self.directory / "costs.csv", rows, columns)
        return await import_focus_files(
            self.database, self.settings, [path], FocusImportOptions(**options)
        )

    async def outcomes(self, *rows: dict[str, str], **options: Any) -> list[InvoiceOutcome]:
        return [each.outcome for each in (await self(*rows, **options)).invoices]

    async def refusal(self, *rows: dict[str, str], **options: Any) -> str:
        before = await self.everything()
        with pytest.raises(FocusImportError) as caught:
            await self(*rows, **options)
        assert await self.everything() == before
        return str(caught.value)

    async def everything(self) -> dict[str, list[str]]:
        """Return every row of the database as text."""
        async with self.database.reading() as connection:
            names = await connection.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            )
            rows = {}
            for name in names.scalars().all():
                found = await connection.execute(text(f'SELECT t::text FROM "{name}" AS t'))
                rows[name] = sorted(found.scalars())
            return rows


async def load_items(connection: AsyncConnection, name: str | None = None) -> list[Any]:
    statement = select(*InvoiceItem.__table__.c).order_by(InvoiceItem.id)
    if name is not None:
        statement = statement.where(InvoiceItem.name == name)
    return list((await connection.execute(statement)).all())


async def load_account(connection: AsyncConnection) -> Row:
    """Return the customer of the basic row's account."""
    of_account = Customer.uuid == identifiers.customer_uuid(make_account_key("acc-1", "Pilveke"))
    found = (await connection.execute(select(Customer.id, Customer.uuid).where(of_account))).one()
    return Row(found.id, found.uuid)


async def create_legacy_invoice(
    connection: AsyncConnection, make: Factories, state: InvoiceState
) -> Row:
    """Create the invoice without items that the close of earlier releases opened for an account."""
    return await make.invoice(await load_account(connection), Period(2026, 10), state=state)
