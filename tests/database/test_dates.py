"""Every date and time of Python survives a round trip through the database."""

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Date, DateTime, Table, cast, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.audit.models import AuditEntry
from app.customers.models import Customer
from app.database.engine import Database
from app.invoices.models import Invoice, InvoiceItem
from app.models import metadata
from app.settings import Settings
from tests.support.databases import migrate
from tests.support.factories import Factories

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
DATED = [
    (table, column)
    for table in metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, Date | DateTime) and table is not AuditEntry.__table__
]
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
anywhere = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def copied(connection: AsyncConnection, day: date, moment: datetime) -> tuple[date, datetime]:
    """Send the values through COPY into a table, and return its rows."""
    await connection.execute(text("CREATE TEMP TABLE copied (day date, moment timestamptz)"))
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    await raw.copy_records_to_table("copied", records=[(day, moment)])
    row = (await connection.execute(text("SELECT * FROM copied"))).one()
    await connection.execute(text("DROP TABLE copied"))
    return row.day, row.moment


@anywhere
@given(st.dates(), st.datetimes(timezones=st.just(UTC)))
@example(date.min, FIRST)
@example(date.max, LAST)
async def test_a_value_survives_a_round_trip(
    database: Database, day: date, moment: datetime
) -> None:
    async with database.transaction() as connection:
        one = text(
            "SELECT CAST(:day AS date), CAST(:moment AS timestamptz),"
            " isfinite(CAST(:day AS date)) AND isfinite(CAST(:moment AS timestamptz))"
        )
        values = {"day": day, "moment": moment}
        assert (await connection.execute(one, values)).one() == (day, moment, True)
        many = text("SELECT CAST(:days AS date[]) AS d, CAST(:moments AS timestamptz[]) AS m")
        found = (await connection.execute(many, {"days": [day], "moments": [moment]})).one()
        assert (found.d, found.m) == ([day], [moment])
        assert await copied(connection, day, moment) == (day, moment)


@anywhere
@given(st.datetimes(FIRST.replace(year=2, tzinfo=None), timezones=offsets))
async def test_a_time_with_any_offset_is_stored_in_utc(
    database: Database, moment: datetime
) -> None:
    assume(moment.replace(tzinfo=UTC) < LAST - timedelta(days=1))
    async with database.reading() as connection:
        statement = select(cast(moment, DateTime(timezone=True)))
        assert (await connection.execute(statement)).scalar_one() == moment


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("DATE 'infinity'", date.max),
        ("DATE '-infinity'", date.min),
        ("DATE '0044-03-15 BC'", date.min),
        ("DATE '20000-01-01'", date.max),
        ("TIMESTAMPTZ 'infinity'", LAST),
        ("TIMESTAMPTZ '-infinity'", FIRST),
        ("TIMESTAMPTZ '0044-03-15 00:00:00+00 BC'", FIRST),
        ("TIMESTAMPTZ '10000-01-01 00:00:00+00'", LAST),
    ],
)
async def test_a_value_outside_of_the_range_is_clamped(
    database: Database, stored: str, read: date
) -> None:
    async with database.reading() as connection:
        assert (await connection.execute(text(f"SELECT {stored}"))).scalar_one() == read


async def test_a_time_without_an_offset_is_refused(database: Database) -> None:
    async with database.reading() as connection:
        with pytest.raises(Exception, match="offset-naive"):
            await connection.execute(
                text("SELECT CAST(:at AS timestamptz)"), {"at": LAST.replace(tzinfo=None)}
            )


@pytest.mark.parametrize(("table", "column"), DATED, ids=lambda each: each.name)
async def test_every_date_column_has_a_range_constraint(
    connection: AsyncConnection, table: Table, column: Column[object]
) -> None:
    definition = text(
        "SELECT pg_get_constraintdef(oid), convalidated FROM pg_constraint"
        " WHERE conrelid = CAST(:table AS regclass) AND conname = :name"
    )
    values = {"table": table.name, "name": f"ck_{table.name}_dates_are_in_range"}
    found = (await connection.execute(definition, values)).one()
    assert f"{column.name} >= " in found[0].replace('"', "")
    assert found.convalidated


@pytest.mark.parametrize("wrong", ["infinity", "-infinity", "0044-03-15 BC"])
async def test_an_infinite_or_too_early_date_is_refused(
    connection: AsyncConnection, make: Factories, wrong: str
) -> None:
    item = await make.item(await make.invoice(await make.customer()), "1")
    with pytest.raises(IntegrityError, match="dates_are_in_range"):
        await connection.execute(
            text(f"UPDATE invoice_items SET start = '{wrong}' WHERE id = {item.id}")
        )


@pytest.mark.usefixtures("redis_server")
async def test_the_migration_repairs_infinite_dates(
    empty_database_url: str,
) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0008")
    engine = create_async_engine(empty_database_url)
    async with engine.begin() as connection:
        for statement in (
            "INSERT INTO customers (uuid, name, accounting_start_date, created_at, archived,"
            " default_tax_percent) VALUES (gen_random_uuid(), 'A', '-infinity', 'infinity', false,"
            " 0)",
            "INSERT INTO invoices (uuid, number, customer_id, year, month, state, tax_percent,"
            " created, invoice_date, due_date) SELECT gen_random_uuid(), 1, id, 2026, 11,"
            " 'created', 0, '-infinity', '2026-12-01', 'infinity' FROM customers",
            "INSERT INTO invoice_items (uuid, invoice_id, name, unit_price, quantity, unit, start,"
            " \"end\", credit) SELECT gen_random_uuid(), id, '', 1, 1, 'day', '-infinity',"
            " '2026-11-30 23:59:59+00', false FROM invoices",
        ):
            await connection.execute(text(statement))
    for _ in range(2):  # one that broke off begins again
        await asyncio.to_thread(migrate, empty_database_url, "0009")
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '0008'"))
    await asyncio.to_thread(migrate, empty_database_url)
    await engine.dispose()
    database = Database(Settings(database_url=empty_database_url))
    async with database.reading() as connection:
        customer = (await connection.execute(select(*Customer.__table__.c))).one()
        assert (customer.accounting_start_date, customer.created_at) == (FIRST, LAST)
        invoice = (await connection.execute(select(*Invoice.__table__.c))).one()
        assert (invoice.created, invoice.due_date) == (date.min, date.max)
        assert invoice.invoice_date == date(2026, 12, 1)
        item = (await connection.execute(select(InvoiceItem.start, InvoiceItem.end))).one()
        assert item == (FIRST, datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    await database.close()
