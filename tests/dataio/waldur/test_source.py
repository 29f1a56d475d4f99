"""Reading a Waldur database: only reading, whatever its release, with clear ends."""

import re

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.dataio.waldur import selects
from app.dataio.waldur.importer import import_waldur_database
from app.dataio.waldur.source_database import WaldurUnreadable, open_waldur_database
from app.settings import Settings
from tests.dataio.waldur.conftest import Import
from tests.support.waldur import execute


async def test_the_snapshot_is_read_only(waldur: str) -> None:
    async with open_waldur_database(waldur) as source:
        connection = source._connection
        settings = await connection.execute(
            text(
                "SELECT current_setting('transaction_isolation'),"
                " current_setting('transaction_read_only')"
            )
        )
        assert tuple(settings.one()) == ("repeatable read", "on")
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await connection.execute(text("UPDATE core_user SET email = ''"))


async def test_a_user_with_select_is_sufficient(
    waldur: str, database: Database, settings: Settings
) -> None:
    name = f"reader_{make_url(waldur).database}"
    await execute(
        waldur,
        f"CREATE ROLE {name} LOGIN PASSWORD 'secret'",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}",
        f"ALTER ROLE {name} SET default_transaction_read_only = on",
    )
    url = make_url(waldur).set(username=name, password="secret")
    try:
        report = await import_waldur_database(
            url.render_as_string(hide_password=False), database, settings
        )
    finally:
        await execute(waldur, f"DROP OWNED BY {name}", f"DROP ROLE {name}")
    assert report.new["invoice"] == 3


async def test_all_rows_are_of_one_moment(waldur: str) -> None:
    async with open_waldur_database(waldur) as source:
        before = await source.all(selects.invoices(source, after=0, limit=100))
        await execute(waldur, "DELETE FROM invoices_invoice")
        assert await source.all(selects.invoices(source, after=0, limit=100)) == before


async def test_a_release_without_credits_and_with_other_columns_is_read(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        waldur,
        "DROP TABLE invoices_customercredit, invoices_customercredit_offerings,"
        " invoices_projectcredit, structure_accesssubnet",
        "ALTER TABLE invoices_invoiceitem DROP COLUMN credit_id",
        "ALTER TABLE core_user DROP COLUMN first_name, DROP COLUMN last_name,"
        " ADD COLUMN full_name text NOT NULL DEFAULT 'Whole Name', ADD COLUMN shoe_size int",
        "ALTER TABLE structure_customer ADD COLUMN access_subnets text NOT NULL DEFAULT ''",
        "UPDATE structure_customer SET access_subnets = '192.0.2.0/24, 2001:db8::/32, rubbish'"
        " WHERE id = 11",
    )
    report = await bring()
    assert report.new["invoice_item"] == 4
    names = await connection.scalars(text("SELECT DISTINCT full_name FROM users"))
    assert list(names) == ["Whole Name"]
    networks = await connection.scalars(text("SELECT network::text FROM access_subnets ORDER BY 1"))
    assert list(networks) == ["192.0.2.0/24", "2001:db8::/32"]
    assert [kind for kind, _ in report.skipped if kind == "access_subnet"]
    before = report.new
    assert (await bring()).unchanged == before


async def test_a_missing_column_is_reported(waldur: str, bring: Import) -> None:
    await execute(
        waldur,
        "ALTER TABLE invoices_invoice DROP COLUMN tax_percent",
        "DROP TABLE marketplace_plan",
    )
    with pytest.raises(
        WaldurUnreadable,
        match=r"marketplace_plan, invoices_invoice\.tax_percent is missing",
    ):
        await bring()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("waldur", "is not a URL like postgresql://"),
        ("postgresql://host:port/name", "is not a URL like postgresql://"),
        ("mysql://root:hush@localhost/waldur", "the scheme must be postgresql://"),
        ("postgresql://host/waldur?odd=1", "its option odd is not known"),
        (
            "postgresql://root:hush@127.0.0.1:1/waldur",
            "database postgresql://root:***@127.0.0.1:1/waldur cannot",
        ),
        ("postgresql://root:hush@host.invalid/waldur", "host.invalid/waldur cannot be read: "),
    ],
)
async def test_an_invalid_address_is_reported_without_the_password(
    url: str, message: str, database: Database, settings: Settings
) -> None:
    with pytest.raises(WaldurUnreadable, match=re.escape(message)) as caught:
        await import_waldur_database(url, database, settings)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_a_missing_database_is_reported(
    waldur: str, database: Database, settings: Settings
) -> None:
    url = make_url(waldur).set(database="no_such_database").render_as_string(hide_password=False)
    with pytest.raises(WaldurUnreadable, match='"no_such_database" does not exist'):
        await import_waldur_database(url, database, settings)


async def test_the_database_of_another_program_is_refused(
    empty_database_url: str, database: Database, settings: Settings
) -> None:
    with pytest.raises(WaldurUnreadable, match=r"core_user, authtoken_token, .* is missing"):
        await import_waldur_database(empty_database_url, database, settings)


async def test_sslmode_is_accepted_as_in_libpq(
    waldur: str, database: Database, settings: Settings
) -> None:
    plain = make_url(waldur).set(drivername="postgresql").update_query_dict({"sslmode": "disable"})
    report = await import_waldur_database(
        plain.render_as_string(hide_password=False), database, settings
    )
    assert report.new["invoice"] > 0
