"""Bills that once came out wrong, from the folder beside the checkout that has them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.import_report import FocusImportReport
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.options import FocusImportOptions
from app.invoices.models import Invoice
from app.settings import Settings


class Cases:
    """Imports the files of a case."""

    def __init__(self, database: Database, settings: Settings, folder: Path) -> None:
        self._database, self._settings, self._folder = database, settings, folder

    async def __call__(self, *names: str, **options: Any) -> FocusImportReport:
        paths = [self._folder / f"{name}.csv" for name in names]
        return await import_focus_files(
            self._database, self._settings, paths, FocusImportOptions(**options)
        )


@pytest.fixture
def cases(database: Database, settings: Settings, shared: Path) -> Cases:
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip("the folder `shared` has no cases")
    return Cases(database, settings, folder)


async def stored(connection: AsyncConnection) -> Any:
    invoice = select(Invoice.total_price, Invoice.tax_percent, Invoice.total_cost)
    return (await connection.execute(invoice)).one()


async def test_an_export_and_its_copy_are_refused(cases: Cases) -> None:
    with pytest.raises(FocusImportError, match="have the same charges"):
        await cases("03-export", "03-export-copy")
    assert (await cases("03-export")).price == 100


async def test_tax_rows_become_items(cases: Cases, connection: AsyncConnection) -> None:
    with pytest.raises(FocusImportError, match="--drop-tax-rows"):
        await cases("04-tax-rows", tax_percent=Decimal(19))
    await cases("04-tax-rows")
    assert await stored(connection) == (119, 0, 119)


async def test_tax_rows_can_be_dropped(cases: Cases, connection: AsyncConnection) -> None:
    await cases("04-tax-rows", tax_percent=Decimal(19), drop_tax_rows=True)
    assert await stored(connection) == (100, 19, 119)


async def test_a_period_of_another_time_zone_is_imported(cases: Cases) -> None:
    (invoice,) = (await cases("05-period-with-offset")).invoices
    assert (invoice.year, invoice.month) == (2026, 10)
    assert invoice.amounts.price == 5


async def test_columns_of_1_0_preview_are_imported(cases: Cases) -> None:
    assert (await cases("09-columns-of-1.0-preview")).price == Decimal("0.75")
