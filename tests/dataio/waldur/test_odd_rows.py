"""A row of a Waldur that is odd in one column never ends an import: it comes, or is named."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.dataio.waldur.conftest import Import
from tests.support.waldur import Columns, add_rows, columns_of, execute
from tests.support.waldur_release_8 import NEW_ROWS, UPGRADE
from tests.support.waldur_sample import uid
from tests.support.waldur_schema import COLUMNS

THOUSANDS_OF_DIGITS = f"to_jsonb(1{'0' * 5000})"
NESTED = "repeat('[', 3000) || repeat(']', 3000)"
_ODD = {
    "integer": ("2147483647", "-2147483648", "0"),
    "smallint": ("32767", "-32768", "0"),
    "boolean": ("NOT \"{}\"",),
    "uuid": ("'00000000-0000-0000-0000-000000000000'",),
    "text": ("''", "'rubbish'", "repeat('x', 100000)", "E'two\\nlines'"),
    "character varying": ("''", "'rubbish'", "repeat('x', 10)"),
    "date": ("'infinity'", "'-infinity'", "'0044-03-15 BC'", "'9999-12-31'", "'20000-01-01'"),
    "timestamp": ("'infinity'", "'-infinity'", "'0044-03-15 BC'", "'294276-01-01'"),
    "numeric": ("'NaN'", "-1", "99"),
    "cidr": ("'192.0.2.1/32'", "'::/0'"),
    "jsonb": (
        "'null'", "'[]'", "'\"text\"'", "'7'", "'{{\"resource_uuid\": 7}}'",
        THOUSANDS_OF_DIGITS, f"({NESTED})::jsonb",
        f"jsonb_build_object('deep', ({NESTED})::jsonb)",
        f"jsonb_build_object('long', {THOUSANDS_OF_DIGITS})",
    ),
}  # fmt: skip
"""Odd values of each type of column, as SQL; `{}` stands for the value that is there."""


def odd_values(kind: str) -> tuple[str, ...]:
    """Return odd values of a column, null among them though Waldur forbids it."""
    (values,) = (values for name, values in _ODD.items() if kind.startswith(name))
    return ("NULL", *values)


async def allow_odd_values(waldur: str, columns: Columns) -> None:
    """Drop each constraint that would refuse odd values, and let UUIDs be texts."""
    await execute(
        waldur,
        *(
            f'ALTER TABLE {table} ALTER "{column}" DROP NOT NULL'
            for table, kinds in columns.items()
            for column, kind in kinds.items()
            if kind.endswith("not null")
        ),
        *(
            f'ALTER TABLE {table} ALTER "{column}" TYPE text'
            for table, kinds in columns.items()
            for column, kind in kinds.items()
            if kind.startswith("uuid")
        ),
    )


async def add_odd_rows(waldur: str, table: str, kinds: Mapping[str, str]) -> None:
    """Add copies of the first row, which can be imported, each with one odd value."""
    odd_cells = [
        (column, odd.format(column))
        for column, kind in kinds.items()
        for odd in (*odd_values(kind), *(("'no UUID'",) if kind.startswith("uuid") else ()))
    ]
    statements = []
    for number, (odd_column, odd) in enumerate(odd_cells, 1000):
        cells = {column: f'"{column}"' for column in kinds}
        cells |= {"id": str(number)} if "id" in kinds else {}
        cells |= {"uuid": "gen_random_uuid()::text"} if "uuid" in kinds else {}
        cells |= {"year": str(number)} if "year" in kinds else {}
        cells[odd_column] = odd
        statements.append(
            f"INSERT INTO {table} SELECT {', '.join(cells[column] for column in kinds)}"
            f" FROM {table} LIMIT 1"
        )
    await execute(waldur, *statements)


@pytest.mark.parametrize("application", sorted({table.partition("_")[0] for table in COLUMNS}))
async def test_no_odd_value_in_any_column_ends_the_import(
    waldur: str, bring: Import, connection: AsyncConnection, application: str
) -> None:
    """All tables of one of Waldur's applications have odd rows at once."""
    await allow_odd_values(waldur, COLUMNS)
    for table, kinds in COLUMNS.items():
        if table.startswith(f"{application}_"):
            await add_odd_rows(waldur, table, kinds)
    assert await bring()
    # The one with no odd item of its own came, whatever else was odd.
    uuids = await connection.scalars(text("SELECT uuid::text FROM invoices"))
    assert uid("invoice-3") in set(uuids)


@pytest.mark.parametrize("table", NEW_ROWS)
async def test_no_odd_value_in_a_table_of_releases_8_ends_the_import(
    waldur: str, bring: Import, connection: AsyncConnection, table: str
) -> None:
    await execute(waldur, *UPGRADE)
    for new_table, row in NEW_ROWS.items():
        await add_rows(waldur, new_table, row)
    columns = await columns_of(waldur, table)
    await allow_odd_values(waldur, {table: columns})
    await add_odd_rows(waldur, table, columns)
    assert await bring()
    assert await connection.scalar(text("SELECT count(*) FROM invoices")) == 3


@pytest.mark.parametrize("details", ["[]", '"text"', "7", "true", '""'])
async def test_an_invoice_with_details_that_are_not_an_object_is_not_imported(
    waldur: str, bring: Import, connection: AsyncConnection, details: str
) -> None:
    await execute(
        waldur, f"UPDATE invoices_invoiceitem SET details = '{details}' WHERE invoice_id = 1"
    )
    report = await bring()
    ((_, why), omission) = next(
        reasons for reasons in report.skipped.items() if reasons[0][0] == "invoice"
    )
    assert why.endswith(": details: not a JSON object")
    assert omission.examples == ["number 100001"]
    uuids = set(await connection.scalars(text("SELECT uuid::text FROM invoices")))
    assert uid("invoice-1") not in uuids
    assert uid("invoice-3") in uuids


@pytest.mark.parametrize(
    "odd", ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01 00:00:00+00"]
)
async def test_an_invoice_with_an_unreadable_time_is_not_imported(
    waldur: str, bring: Import, odd: str
) -> None:
    await execute(waldur, f"UPDATE invoices_invoiceitem SET start = '{odd}' WHERE invoice_id = 1")
    report = await bring()
    reasons = [why for kind, why in report.skipped if kind == "invoice"]
    assert reasons
    assert all(why.endswith("start: it is outside of the years 1 to 9999") for why in reasons)


async def test_the_first_and_the_last_day_of_the_calendar_are_imported(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        waldur,
        "UPDATE invoices_invoice SET created = '0001-01-01', invoice_date = '9999-12-20'"
        " WHERE id = 1",
        "UPDATE invoices_invoiceitem SET start = '0001-01-01 00:00:00+00',"
        " \"end\" = '9999-12-31 23:59:59.999999+00' WHERE invoice_id = 1",
    )
    await bring()
    invoice = (
        await connection.execute(
            text("SELECT created, invoice_date, due_date FROM invoices WHERE uuid = :uuid"),
            {"uuid": UUID(uid("invoice-1"))},
        )
    ).one()
    assert invoice == (date.min, date(9999, 12, 20), date.max)
    times = await connection.execute(
        text(
            'SELECT DISTINCT start, "end" FROM invoice_items JOIN invoices'
            " ON invoices.id = invoice_id WHERE invoices.uuid = :uuid"
        ),
        {"uuid": UUID(uid("invoice-1"))},
    )
    assert times.all() == [(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))]
