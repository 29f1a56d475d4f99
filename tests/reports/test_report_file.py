"""Report files: columns, exact amounts, texts that spreadsheets misread, customers left out."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]  # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import clock
from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.reports.queries.report_rows import ReportRows
from app.reports.rendering.columns import COLUMNS, CellKind, Column, ReportFormat
from app.reports.rendering.csv_file import CsvFile
from app.reports.rendering.report_file import FileFormat, Report, write_report
from app.reports.rendering.xlsx_file import XlsxFile, is_exact
from app.settings import Settings
from tests.support.commands import run_command
from tests.support.factories import Factories, Row
from tests.support.paths import ROOT

EUR, JPY = get_currency("EUR"), get_currency("JPY")
OCTOBER = Period(2026, 10)
Written = Callable[..., Awaitable[bytes]]
WALDURS = (
    "customer_uuid customer_name project_uuid project_name invoice_uuid invoice_number invoice_year"
    " invoice_month invoice_date due_date invoice_price invoice_tax invoice_total name article_code"
    " price tax total unit_price unit start end"
)


@pytest.fixture
def written(database: Database) -> Written:
    async def write(
        rows: ReportRows = ReportRows.ITEMS, form: FileFormat = FileFormat.CSV
    ) -> bytes:
        file = io.BytesIO()
        await write_report(database, Report(OCTOBER, rows, form), ReportFormat(EUR, False), file)
        return file.getvalue()

    return write


def read_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.fixture
async def invoice(make: Factories) -> Row:
    customer = await make.customer(name='Ülikool; "A", B', registration_code="007")
    project = await make.project(customer, name="=cmd|'/c calc'!A1")
    invoice = await make.invoice(customer, state=InvoiceState.CREATED, tax_percent=Decimal("22.5"))
    seller = await make.customer(name="Seller")
    offering = await make.offering(seller, name="@Cloud")
    resource = await make.resource(project, offering, name="-vm")
    await make.item(
        invoice, "0.0123456789", quantity=Decimal("744.5"), name="+cores\nper hour",
        project_id=project.id, resource_id=resource.id,
    )  # fmt: skip
    await make.item(invoice, "-1.10", name="z compensation", credit=True)
    await make.item(invoice, "0", name="free")
    return invoice


async def test_a_csv_file_has_a_row_for_each_item_with_exact_amounts(
    invoice: Row, written: Written
) -> None:
    content = await written()
    assert content.startswith(b"\xef\xbb\xbfcustomer_uuid,")
    assert b"\r\n" in content
    first, second = read_csv(content)
    assert " ".join(first).startswith(WALDURS)
    assert (
        first
        | {
            "customer_name": 'Ülikool; "A", B',
            "project_name": "'=cmd|'/c calc'!A1",
            "name": "'+cores\nper hour",
            "invoice_uuid": str(invoice.uuid),
            "invoice_date": "2026-11-01",
            "invoice_price": "8.10",
            "invoice_tax": "1.82",
            "invoice_total": "9.92",
            "price": "9.20",
            "tax": "2.07",
            "total": "11.27",
            "unit_price": "0.0123456789",
            "quantity": "744.5",
            "start": "2026-10-01",
            "end": "2026-10-31",
            "invoice_state": "created",
            "tax_percent": "22.5",
            "registration_code": "007",
            "offering_name": "'@Cloud",
            "provider_name": "Seller",
            "resource_name": "'-vm",
            "is_compensation": "0",
            "currency": "EUR",
        }
        == first
    )
    assert (second["name"], second["price"], second["is_compensation"]) == (
        "z compensation",
        "-1.10",
        "1",
    )


async def test_a_file_of_customers_has_the_sums_of_each_invoice(
    invoice: Row, written: Written
) -> None:
    (row,) = read_csv(await written(ReportRows.CUSTOMERS))
    expected = {"item_count": "2", "compensations": "-1.10", "invoice_price": "8.10"}
    assert row | expected | {"invoice_total": "9.92", "invoice_uuid": str(invoice.uuid)} == row


async def test_an_xlsx_file_has_the_same_cells_as_numbers_dates_and_texts(
    invoice: Row, written: Written
) -> None:
    plain = read_csv(await written())
    book = openpyxl.load_workbook(io.BytesIO(await written(form=FileFormat.XLSX)))
    assert book.sheetnames == ["2026-10"]
    heading, *rows = book.active.iter_rows()
    names = [cell.value for cell in heading]
    assert names == [column.name for column in COLUMNS[ReportRows.ITEMS]]
    assert len(rows) == len(plain)
    for cells, texts in zip(rows, plain, strict=True):
        for column, cell in zip(COLUMNS[ReportRows.ITEMS], cells, strict=True):
            text = texts[column.name]
            assert cell.data_type != "f"
            match column.kind:
                case CellKind.TEXT:
                    assert (cell.value or "") == text.removeprefix("'")
                case CellKind.DATE:
                    assert cell.value == datetime.fromisoformat(text)
                case _:
                    assert cell.data_type == "n"
                    assert Decimal(str(cell.value)) == Decimal(text)


async def test_customers_that_are_not_invoiced_are_left_out(
    make: Factories, written: Written
) -> None:
    for values in (
        {"archived": True},
        {"accounting_start_date": clock.now() + timedelta(days=1)},
    ):
        await make.item(await make.invoice(await make.customer(**values)))
    empty = await make.invoice(await make.customer())
    await make.item(empty, "0")
    await make.item(await make.invoice(await make.customer(), Period(2026, 9)))
    for rows in ReportRows:
        assert read_csv(await written(rows)) == []
        assert (await written(rows)).count(b"\r\n") == 1


def test_a_sheet_that_is_full_is_followed_by_another() -> None:
    file = io.BytesIO()
    book = XlsxFile(file, [Column("n", CellKind.INTEGER)], EUR, "2026-10", max_sheet_rows=3)
    book.write([[number] for number in range(5)])
    book.close()
    sheets = openpyxl.load_workbook(file)
    assert sheets.sheetnames == ["2026-10", "2026-10 (2)", "2026-10 (3)"]
    found = [[cell.value for cell in sheet["A"]] for sheet in sheets]
    assert found == [["n", 0, 1], ["n", 2, 3], ["n", 4]]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4).map(lambda n: n.normalize()))
def test_a_spreadsheet_gets_every_digit_of_a_number(number: Decimal) -> None:
    if is_exact(number):
        assert Decimal(f"{float(number):.15g}") == number
    file = io.BytesIO()
    book = XlsxFile(file, [Column("n", CellKind.NUMBER)], EUR, "n")
    book.write([[number]])
    book.close()
    cell = openpyxl.load_workbook(file).active["A2"]
    assert Decimal(str(cell.value)) == number
    assert (cell.data_type == "n") is is_exact(number)


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8"), max_size=9), st.decimals(-99, 99, places=0))
    )
)
def test_a_csv_file_gives_back_the_written_rows(rows: list[tuple[str, Decimal]]) -> None:
    file = io.BytesIO()
    columns = [Column("text"), Column("amount", CellKind.AMOUNT)]
    written = CsvFile(file, columns, JPY)
    written.write(rows)
    written.close()
    found = read_csv(file.getvalue())
    assert [Decimal(row["amount"]) for row in found] == [amount for _, amount in rows]
    for row, (text, _) in zip(found, rows, strict=True):
        assert row["text"] in (text, f"'{text}")
        assert not row["text"].startswith(("=", "+", "-", "@", "\t", "\r"))


async def test_the_command_writes_the_same_file(
    settings: Settings, invoice: Row, written: Written, tmp_path: Path
) -> None:
    target = tmp_path / "report.csv"
    environment = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "AUDIT_KEY": settings.audit_key.get_secret_value(),
    }

    async def call(*arguments: str) -> Any:
        return await asyncio.to_thread(run_command, "report", *arguments, **environment)

    answer = await call("--month", "2026-10", "-o", str(target))
    assert (answer.exit_code, answer.stderr) == (0, "2 rows of 2026-10.\n")
    assert target.read_bytes() == await written()
    piped = await call("--month", "2026-10", "--rows", "customers")
    assert piped.stdout_bytes == await written(ReportRows.CUSTOMERS)
    await call("--month", "2026-10", "--format", "xlsx", "-o", f"{target}.xlsx")
    assert openpyxl.load_workbook(f"{target}.xlsx").sheetnames == ["2026-10"]
    clock.freeze(datetime.combine(date(2026, 11, 3), datetime.min.time(), clock.now().tzinfo))
    try:
        assert "2 rows of 2026-10" in (await call("-o", str(target))).stderr
    finally:
        clock.freeze(None)
    assert (await call("--month", "2026-13")).exit_code == 2


def test_the_documentation_describes_every_column() -> None:
    documented = (ROOT / "docs" / "reports.md").read_text()
    for columns in COLUMNS.values():
        for column in columns:
            assert f"`{column.name}`" in documented
