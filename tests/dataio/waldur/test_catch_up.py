"""Running the import again: what changed in Waldur comes, what was changed here stays."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.verify import VerificationResult, verify
from app.credit_notes.actions.credit import CreditInvoice, credit
from app.database.engine import Database
from app.dataio.waldur.import_report import WaldurImportReport
from app.invoices.jobs.close_month import close_month
from app.settings import Settings
from tests.dataio.waldur.conftest import Import, dump
from tests.support.factories import Factories
from tests.support.frozen import frozen_documents
from tests.support.waldur import add_rows, execute
from tests.support.waldur_sample import invoice, item, uid


async def column(connection: AsyncConnection, statement: str) -> list[Any]:
    return list(await connection.scalars(text(statement)))


def kept(report: WaldurImportReport) -> dict[tuple[str, str], list[str]]:
    return {key: omission.examples for key, omission in report.preserved.items()}


async def test_a_second_run_changes_nothing(bring: Import, connection: AsyncConnection) -> None:
    first = await bring()
    before = await dump(connection)
    second = await bring()
    assert await dump(connection) == before
    assert second.unchanged == first.new - Counter({"credit_transaction": 2})
    assert not +second.new
    assert not +second.updated
    assert not second.preserved


async def test_the_details_of_customers_that_waldur_lacks_stay(
    bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    details = {
        "city": "Tartu",
        "registration_scheme": "0191",
        "endpoint": "EE1",
        "endpoint_scheme": "9931",
        "contact_name": "Kadri",
        "buyer_reference": "B-1",
        "order_reference": "PO 7",
        "language": "et",
        "tax_category": "AE",
        "tax_exemption_code": "VATEX-EU-AE",
        "tax_exemption_reason": "Reverse charge",
    }
    changed = ", ".join(f"{name} = :{name}" for name in details)
    await connection.execute(text(f"UPDATE customers SET {changed} WHERE name = 'buyer'"), details)
    assert not +(await bring()).updated
    names = ", ".join(details)
    row = await connection.execute(text(f"SELECT {names} FROM customers WHERE name = 'buyer'"))
    assert dict(row.mappings().one()) == details


async def test_a_new_invoice_is_imported(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await add_rows(waldur, "invoices_invoice", invoice(4))
    await add_rows(waldur, "invoices_invoiceitem", item(201, 4))
    report = await bring()
    assert +report.new == {"invoice": 1, "invoice_item": 1}
    assert await column(connection, "SELECT max(number) FROM invoices") == [100004]


async def test_an_untouched_invoice_of_the_close_is_replaced(
    waldur: str, bring: Import, connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    await Factories(connection).customer(name="ours")
    await bring()
    clock.freeze(datetime(2026, 4, 1, 3, tzinfo=UTC))
    await close_month(database, settings)
    opened = "SELECT number FROM invoices WHERE source IS NULL ORDER BY number"
    assert await column(connection, opened) == [100004, 100005]

    await add_rows(waldur, "invoices_invoice", invoice(4))
    await add_rows(waldur, "invoices_invoiceitem", item(201, 4))
    report = await bring()
    assert +report.new == {"invoice": 1, "invoice_item": 1}
    assert report.removed["invoice"] == 2
    await close_month(database, settings)
    assert await column(connection, opened) == [100006]
    assert +(await bring()).removed == {}


async def test_a_changed_invoice_is_updated_with_its_items(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(
        waldur,
        "UPDATE invoices_invoice SET state = 'paid', backend_id = 'B' WHERE id = 2",
        "UPDATE invoices_invoiceitem SET quantity = 12 WHERE id = 102",
        "DELETE FROM invoices_invoiceitem WHERE id = 103",
    )
    await add_rows(waldur, "invoices_invoiceitem", item(201, 2, unit_price="0.0100000000"))
    report = await bring()
    assert +report.updated == {"invoice": 1, "invoice_item": 1}
    assert +report.new == {"invoice_item": 1}
    assert +report.removed == {"invoice_item": 1}
    assert not report.preserved
    row = (
        await connection.execute(
            text(
                "SELECT state, backend_id, total_price, revision = imported_revision"
                " FROM invoices WHERE number = 100002"
            )
        )
    ).one()
    assert tuple(map(str, row)) == ("paid", "B", "15.10", "True")
    assert not +(await bring()).updated


async def test_an_invoice_that_was_changed_here_is_not_overwritten(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await connection.execute(
        text("UPDATE invoices SET reference_number = 'ours' WHERE number = 100001")
    )
    await connection.execute(text("UPDATE invoices SET backend_id = 'ours' WHERE number = 100002"))
    before = await dump(connection)
    await execute(
        waldur,
        "UPDATE invoices_invoice SET reference_number = 'theirs', state = 'canceled'",
        "UPDATE invoices_invoiceitem SET quantity = 99 WHERE invoice_id IN (1, 2)",
        "DELETE FROM invoices_invoiceitem WHERE id = 103",
        "UPDATE invoices_payment SET sum = 1",
    )
    report = await bring()
    after = await dump(connection)
    assert [row for row in after["invoices"] if row["number"] != 100003] == [
        row for row in before["invoices"] if row["number"] != 100003
    ]
    assert after["invoice_items"] == before["invoice_items"]
    assert after["payments"] == before["payments"]
    assert kept(report) == {
        ("invoice", "it was changed here"): ["number 100001", "number 100002"],
        ("invoice_item", "its invoice was changed here"): [],
        ("payment", "its invoice was changed here"): [uid("payment")],
    }
    assert report.preserved["invoice_item", "its invoice was changed here"].count == 2
    assert +report.updated == {"invoice": 1}


async def test_an_item_does_not_move_from_an_invoice_that_was_changed_here(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await connection.execute(text("UPDATE invoices SET backend_id = 'x' WHERE number = 100001"))
    await execute(waldur, "UPDATE invoices_invoiceitem SET invoice_id = 2 WHERE id = 101")
    before = await dump(connection)
    report = await bring()
    assert await dump(connection) == before
    reason = f"its item {uid('item-101')} is on an invoice that was changed here"
    assert report.skipped["invoice", reason].examples == ["number 100002"]


async def test_an_item_moves_between_invoices(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(
        waldur,
        "UPDATE invoices_invoiceitem SET invoice_id = 2 WHERE id = 101",
        "UPDATE invoices_invoiceitem SET invoice_id = 1 WHERE id = 102",
    )
    await bring()
    assert await column(
        connection,
        "SELECT invoice_items.name || ' ' || number FROM invoice_items"
        " JOIN invoices ON invoices.id = invoice_id ORDER BY 1",
    ) == ["Compensation 100002", "Cores 101 100002", "Cores 102 100001", "Cores 104 100003"]


async def test_an_invoice_that_was_created_here_for_the_same_month_stays(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await connection.execute(
        text(
            "INSERT INTO invoices (uuid, customer_id, year, month, tax_percent, created)"
            " SELECT gen_random_uuid(), id, 2026, 4, 0, '2026-04-01' FROM customers"
            " WHERE name = 'buyer'"
        )
    )
    await connection.execute(
        text(
            "INSERT INTO invoice_items"
            ' (uuid, invoice_id, name, unit_price, quantity, unit, start, "end")'
            " SELECT gen_random_uuid(), id, 'Ours', 1, 1, 'quantity', created, created"
            " FROM invoices WHERE source IS NULL"
        )
    )
    await add_rows(waldur, "invoices_invoice", invoice(9, month=4), invoice(4, month=5))
    report = await bring()
    left_out = {why: omission.examples for (_, why), omission in report.skipped.items()}
    assert left_out["the customer has another invoice for this month here"] == ["number 100009"]
    assert left_out["another invoice has its number here"] == ["number 100004"]


async def test_deleted_rows_are_reported_and_deleted_tokens_are_revoked(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(
        waldur,
        "DELETE FROM invoices_invoice WHERE id = 3",
        "DELETE FROM invoices_invoiceitem WHERE invoice_id = 3",
        "DELETE FROM permissions_userrole WHERE id = 1",
        "DELETE FROM structure_accesssubnet",
        "DELETE FROM authtoken_token WHERE user_id = 2",
    )
    report = await bring()
    gone = "Waldur does not have it"
    assert kept(report) == {
        ("invoice", gone): ["number 100003"],
        ("customer_role", gone): [uid("role-1")],
        ("access_subnet", gone): [uid("subnet")],
    }
    assert report.removed["token"] == 1
    assert await column(
        connection,
        "SELECT username FROM tokens JOIN users ON users.id = user_id WHERE revoked_at IS NOT NULL",
    ) == ["olga"]


async def test_a_new_key_replaces_the_old_one(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(waldur, "UPDATE authtoken_token SET key = repeat('d', 40) WHERE user_id = 2")
    report = await bring()
    assert +report.updated == {"token": 1}
    assert await column(connection, "SELECT count(*) FROM tokens") == [3]


async def test_another_profile_can_become_the_active_one(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(
        waldur,
        "UPDATE invoices_paymentprofile SET is_active = NULL WHERE id = 1",
        "UPDATE invoices_paymentprofile SET is_active = true WHERE id = 2",
    )
    report = await bring()
    assert +report.updated == {"payment_profile": 2}
    assert await column(connection, "SELECT name FROM payment_profiles WHERE is_active") == [
        "Contract"
    ]


async def test_what_changed_in_waldur_replaces_the_documents_of_issued_invoices(
    bring: Import,
    waldur: str,
    connection: AsyncConnection,
    database: Database,
    settings: Settings,
) -> None:
    async def versions() -> list[tuple[int, str, str]]:
        rows = await connection.execute(
            text(
                "SELECT version, content ->> 'net', content -> 'buyer' ->> 'name'"
                " FROM invoice_documents WHERE content ->> 'number' = '100002' ORDER BY version"
            )
        )
        return [(row[0], row[1], row[2]) for row in rows]

    await bring()
    assert await versions() == [(1, "12.00", "buyer")]
    await execute(waldur, "UPDATE structure_customer SET name = 'Renamed'")
    await bring()
    assert await versions() == [(1, "12.00", "buyer")]
    await execute(waldur, "UPDATE invoices_invoiceitem SET unit_price = unit_price + 1")
    for _ in range(2):
        await bring()
        assert await versions() == [(1, "12.00", "buyer"), (2, "23.00", "Renamed")]
    for frozen in await frozen_documents(database):
        assert frozen.document.net == sum(line.price for line in frozen.lines)
    result = VerificationResult()
    assert [str(each) async for each in verify(database, settings, result)] == []


async def test_an_invoice_with_credit_notes_stays_as_it_is(
    bring: Import, waldur: str, database: Database, settings: Settings
) -> None:
    await bring()
    async with database.transaction() as connection:
        found = await connection.scalar(text("SELECT id FROM invoices WHERE number = 100002"))
        assert found
        await credit(connection, CreditInvoice(found, "Wrong"), settings)
    await execute(waldur, "UPDATE invoices_invoiceitem SET unit_price = 0")
    report = await bring()
    assert kept(report)["invoice", "it was changed here"] == ["number 100002"]
