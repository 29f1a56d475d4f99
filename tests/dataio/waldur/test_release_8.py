"""The differences of the releases 8 that change the result of an import."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.dataio.waldur.import_report import NamedRows, WaldurImportReport
from app.dataio.waldur.importer import import_waldur_database
from app.invoices.jobs.close_month import close_month
from app.settings import Settings
from tests.dataio.waldur.conftest import Import, dump
from tests.support.waldur import add_rows, execute
from tests.support.waldur_release_8 import PERSONAL_ACCESS_TOKEN, TOKEN_DIGEST, UPGRADE
from tests.support.waldur_sample import invoice, item, uid

ADAPTED_STATE = ("invoice", "the state pending_finalization is pending here")
OUTDATED = (
    "invoice",
    "the items do not add up to the total that Waldur stores, and count here",
)


@pytest.fixture
async def waldur(waldur: str) -> str:
    """The address of a Waldur database of the releases 8 with the sample in it."""
    await execute(waldur, *UPGRADE)
    return waldur


async def values(connection: AsyncConnection, statement: str) -> list[Any]:
    return list(await connection.scalars(text(statement)))


def skipped(report: WaldurImportReport, kind: str) -> dict[str, NamedRows]:
    return {reason: rows for (other, reason), rows in report.skipped.items() if other == kind}


async def test_a_second_run_changes_nothing(bring: Import, connection: AsyncConnection) -> None:
    first = await bring()
    assert first.new["invoice_item"] == 4
    before = await dump(connection)
    second = await bring()
    assert await dump(connection) == before
    assert second.unchanged == first.new - Counter({"credit_transaction": 2})


async def test_a_subnet_of_offerings_is_reported_and_keeps_nobody_out(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await add_rows(
        waldur,
        "structure_accesssubnet",
        {
            "id": 2,
            "uuid": uid("offering-subnet"),
            "description": "",
            "inet": "198.51.100.0/24",
            "customer_id": 11,
            "applies_to_portal": False,
            "is_staff_managed": False,
        },
    )
    report = await bring()
    assert await values(connection, "SELECT uuid FROM access_subnets") == [UUID(uid("subnet"))]
    reason = "it limits the access to offerings, not to the organization"
    assert skipped(report, "access_subnet")[reason].examples == [uid("offering-subnet")]


async def test_a_subnet_that_no_longer_applies_to_the_portal_is_deleted(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(waldur, "UPDATE structure_accesssubnet SET applies_to_portal = false")
    report = await bring()
    assert await values(connection, "SELECT uuid FROM access_subnets") == []
    assert report.removed["access_subnet"] == 1
    assert not report.preserved


async def test_a_customer_with_a_tax_of_100_percent_is_imported_and_invoiced(
    waldur: str, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await execute(waldur, "UPDATE structure_customer SET default_tax_percent = 150 WHERE id = 11")
    report = await import_waldur_database(waldur, database, settings)
    taxes = "SELECT default_tax_percent FROM customers WHERE name = 'buyer'"
    assert await values(connection, taxes) == [Decimal("150.00")]
    assert report.new["invoice"] == 3
    clock.freeze(datetime(2026, 4, 10, tzinfo=UTC))
    await close_month(database, settings)
    opened = "SELECT tax_percent FROM invoices WHERE month = 4"
    assert await values(connection, opened) == [Decimal("150.00")]


async def test_the_plan_component_in_the_column_precedes_the_one_in_the_details(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        waldur,
        "UPDATE invoices_invoiceitem SET plan_component_id = 52 WHERE id = 101",
        "UPDATE invoices_invoiceitem SET plan_component_id = 51, details = '{}' WHERE id = 102",
    )
    await bring()
    prices = (
        "SELECT price::numeric(3,2) FROM plan_components WHERE id ="
        " (SELECT plan_component_id FROM invoice_items WHERE name = 'Cores {}')"
    )
    assert await values(connection, prices.format(101)) == [Decimal("0.00")]
    assert await values(connection, prices.format(102)) == [Decimal("1.25")]


async def test_an_invoice_in_the_grace_period_is_pending_and_named(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(waldur, "UPDATE invoices_invoice SET state = 'pending_finalization' WHERE id = 3")
    await add_rows(waldur, "invoices_invoice", invoice(4, state="pending", invoice_date=None))
    report = await bring()
    dates = "SELECT state || coalesce(invoice_date::text, '') FROM invoices WHERE month IN (3, 4)"
    assert await values(connection, dates) == ["pending", "pending"]
    assert report.adapted[ADAPTED_STATE].examples == ["number 100003"]
    assert "Imported with a difference:" in list(report.lines())


async def test_an_invoice_in_the_grace_period_comes_as_itself_where_there_is_one(
    waldur: str, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await execute(waldur, "UPDATE invoices_invoice SET state = 'pending_finalization' WHERE id = 3")
    waiting = settings.model_copy(update={"finalization_grace_hours": 48})
    report = await import_waldur_database(waldur, database, waiting)
    states = "SELECT state FROM invoices WHERE month = 3"
    assert await values(connection, states) == ["pending_finalization"]
    assert ADAPTED_STATE not in report.adapted


async def test_an_invoice_of_the_grace_period_is_issued_by_a_later_import(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(waldur, "UPDATE invoices_invoice SET state = 'pending_finalization' WHERE id = 3")
    await bring()
    await execute(
        waldur,
        "UPDATE invoices_invoice SET state = 'created', invoice_date = '2026-04-03' WHERE id = 3",
    )
    report = await bring()
    assert await values(connection, "SELECT state FROM invoices WHERE month = 3") == ["created"]
    assert ADAPTED_STATE not in report.adapted


async def test_an_unit_of_a_quarter_is_imported(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(waldur, "UPDATE invoices_invoiceitem SET unit = 'quarter' WHERE id = 101")
    await bring()
    units = "SELECT unit FROM invoice_items WHERE name = 'Cores 101'"
    assert await values(connection, units) == ["quarter"]


async def test_a_role_is_known_by_its_name_and_its_kind_of_place(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        waldur,
        "INSERT INTO permissions_role VALUES (9, 'CUSTOMER.OWNER', 8)",
        "UPDATE permissions_userrole SET role_id = 9 WHERE id = 1",
    )
    report = await bring()
    assert await values(connection, "SELECT role FROM customer_roles") == ["reader"]
    reason = "the role CUSTOMER.OWNER of structure.project gives no access here"
    assert skipped(report, "customer_role")[reason].examples == [uid("role-1")]


async def test_a_customer_may_hide_its_billing_from_its_projects(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        waldur,
        "UPDATE structure_customer SET display_billing_info_in_projects = false WHERE id = 11",
    )
    await bring()
    names = "SELECT name FROM customers WHERE NOT display_billing_info_in_projects"
    assert await values(connection, names) == ["buyer"]


async def test_the_city_is_imported_and_replaces_the_one_here(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await connection.execute(text("UPDATE customers SET city = 'Narva', language = 'et'"))
    await execute(waldur, "UPDATE structure_customer SET city = 'Tartu' WHERE id = 11")
    await bring()
    rows = "SELECT city || ', ' || language FROM customers WHERE name = 'buyer'"
    assert await values(connection, rows) == ["Tartu, et"]


async def test_personal_access_tokens_are_named_and_not_imported(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(waldur, PERSONAL_ACCESS_TOKEN)
    report = await bring()
    reason = "its scopes and networks would not limit it here"
    assert skipped(report, "personal_access_token")[reason].examples == [uid("personal-token")]
    assert TOKEN_DIGEST not in str(await dump(connection))


async def test_a_compensation_without_a_project_name_gets_that_of_its_project(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        waldur,
        "UPDATE invoices_invoiceitem SET project_id = 21, project_name = '', project_uuid = ''"
        " WHERE id IN (101, 103)",
    )
    await bring()
    names = "SELECT name || ' of ' || project_name FROM invoice_items WHERE project_uuid = '{}'"
    found = await values(connection, names.format(uid("sea")))
    assert sorted(found) == ["Compensation of Sea", "Cores 102 of Sea", "Cores 104 of Sea"]


async def test_a_stored_total_that_the_items_do_not_give_is_reported(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await add_rows(
        waldur,
        "invoices_invoiceitem",
        item(201, 1, name="Billing correction", unit_price="-2.0000000000"),
    )
    report = await bring()
    assert report.adapted[OUTDATED].examples == ["number 100001"]
    totals = "SELECT total_price FROM invoices WHERE month = 1"
    assert await values(connection, totals) == [Decimal("-7.50")]
