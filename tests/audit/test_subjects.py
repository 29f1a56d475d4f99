"""Credits, affiliates, payment profiles and payments have records of their own."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.backfill import backfill
from app.audit.models import SUBJECT_TABLES
from app.audit.writer import audited_transaction, seal
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.invoices.jobs.close_month import close_month
from app.settings import Settings
from tests.audit.conftest import Tamper, Verify, rows
from tests.cli.test_data import call
from tests.support.clients import BASE
from tests.support.factories import Factories, Row
from tests.support.history import KEY

BY_TEST = Actor("test")
ENTRIES = """
SELECT kind, sequence, operation, username, request_id, data IS NULL
FROM subject_history ORDER BY id
"""


async def sealed_credit(database: Database, value: str = "100") -> tuple[Row, Row, Row]:
    """Return a customer, an offering and the credit of the customer, all recorded."""
    async with audited_transaction(database, KEY, BY_TEST) as within:
        make = Factories(within)
        customer, offering = await make.customer(), await make.offering()
        return customer, offering, await make.credit(customer, value)


async def test_a_credit_is_recorded_from_its_creation_to_its_end(
    settings: Settings,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    make: Factories,
    verified: Verify,
) -> None:
    staff = await make.user(is_staff=True, username="anna")
    await make.token(staff, "key-by-name", name="console")
    headers = {"Authorization": "Token key-by-name", "X-Request-ID": "the-request"}
    customer, offering = await make.customer(), await make.offering()
    created = await client.post(
        "/api/customer-credits/",
        json={
            "customer": f"{BASE}/api/customers/{customer.uuid.hex}/",
            "value": "100.5",
            "offerings": [f"{BASE}/api/marketplace-provider-offerings/{offering.uuid}/"],
        },
        headers=headers,
    )
    assert created.status_code == 201, created.text
    path = f"/api/customer-credits/{created.json()['uuid']}/"
    changed = await client.patch(path, json={"offerings": [], "value": "90"}, headers=headers)
    assert changed.status_code == 200, changed.text
    deleted = await client.delete(path, headers=headers)
    assert deleted.status_code == 204, deleted.text
    assert await rows(connection, ENTRIES) == [
        ("customer_credit", 1, "customer_credits_create", "anna", "the-request", False),
        ("customer_credit", 2, "customer_credits_partial_update", "anna", "the-request", False),
        ("customer_credit", 3, "customer_credits_destroy", "anna", "the-request", True),
    ]
    assert await verified() == []
    shown = await call(settings, "audit", "show", created.json()["uuid"])
    assert shown.exit_code == 0, shown.output
    headings = [line for line in shown.stdout.splitlines() if not line.startswith(" ")]
    assert [line.partition(" (")[0].rpartition("+00:00 ")[2] for line in headings] == [
        "Credit created",
        "Credit changed",
        "Credit deleted",
    ]
    assert headings[0].endswith(
        "(by anna; operation customer_credits_create; token console; request the-request)"
    )
    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert 'value: "100.50000" -> "90.00000"' in lines
    assert f'offerings: ["{offering.uuid}"] -> []' in lines


async def test_a_record_without_changes_is_not_shown(settings: Settings) -> None:
    shown = await call(settings, "audit", "show", "5c3f2a10-0000-4000-8000-000000000000")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "No change of 5c3f2a10-0000-4000-8000-000000000000 is recorded." in shown.stderr


async def test_a_payment_is_found_under_its_own_uuid(
    settings: Settings,
    database: Database,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    verified: Verify,
) -> None:
    headers = (await Factories(connection).staff()).headers
    async with audited_transaction(database, KEY, BY_TEST) as within:
        customer = await Factories(within).customer()
        profile = await Factories(within).profile(customer)
        payment = await Factories(within).payment(profile)
        invoice = await Factories(within).invoice(customer, state=InvoiceState.PAID)
    path = f"/api/payments/{payment.uuid.hex}"
    linked = await client.post(
        f"{path}/link_to_invoice/",
        json={"invoice": f"{BASE}/api/invoices/{invoice.uuid.hex}/"},
        headers=headers,
    )
    assert linked.status_code == 200, linked.text
    assert (await client.post(f"{path}/unlink_from_invoice/", headers=headers)).status_code == 200
    assert await rows(
        connection,
        "SELECT was ->> 'invoice', became ->> 'invoice' FROM subject_changes"
        " WHERE kind = 'payment' AND was IS NOT NULL ORDER BY id",
    ) == [(None, str(invoice.uuid)), (str(invoice.uuid), None)]
    assert await rows(
        connection, "SELECT operation FROM invoice_history WHERE sequence > 1 ORDER BY id"
    ) == [("payments_link_to_invoice",), ("payments_unlink_from_invoice",)]
    assert await verified() == []
    of_invoice = await call(settings, "audit", "show", str(invoice.uuid))
    assert f"payment {payment.uuid} created" in of_invoice.stdout


async def test_the_close_of_a_month_seals_the_changes_of_credits(
    settings: Settings, database: Database, connection: AsyncConnection, verified: Verify
) -> None:
    clock.freeze(datetime(2026, 11, 5, tzinfo=UTC))
    async with audited_transaction(database, KEY, BY_TEST) as within:
        make = Factories(within)
        customer = await make.customer()
        await make.credit(customer, "100", end_date=date(2026, 11, 1))
        invoice = await make.invoice(customer, year=2026, month=10)
        await make.item(invoice, "30")
    summary = await close_month(database, settings)
    assert summary.failures == []
    recorded = await rows(
        connection,
        "SELECT operation, user_uuid, data ->> 'value' FROM subject_history ORDER BY id",
    )
    assert recorded == [
        ("test", None, "100.00000"),
        ("close_month", None, "70.00000"),
        ("close_month", None, "0.00000"),
    ]
    assert await verified() == []


async def test_concurrent_changes_of_a_subject_are_sealed_in_sequence(
    database: Database, connection: AsyncConnection, verified: Verify
) -> None:
    await sealed_credit(database)

    async def spend() -> None:
        async with audited_transaction(database, KEY, BY_TEST) as within:
            await within.execute(text("UPDATE customer_credits SET value = value - 1"))

    await asyncio.gather(*(spend() for _ in range(5)))
    heads = "SELECT kind, history_count FROM subject_heads"
    assert await rows(connection, heads) == [("customer_credit", 6)]
    assert await verified() == []


async def test_changes_by_hand_are_recorded_and_adopted(
    database: Database, connection: AsyncConnection, verified: Verify
) -> None:
    _, offering, credit = await sealed_credit(database)
    make = Factories(connection)
    other = await make.offering()
    await make.credit_offering(credit, offering)
    await connection.execute(
        text("UPDATE customer_credit_offerings SET offering_id = :to"), {"to": other.id}
    )
    await connection.execute(text("DELETE FROM offerings WHERE id = :id"), {"id": other.id})
    await connection.execute(text("UPDATE customer_credits SET value = value"))
    changes = await rows(
        connection,
        "SELECT was -> 'offerings', became -> 'offerings' FROM subject_changes"
        " WHERE was IS NOT NULL ORDER BY id",
    )
    one, two = str(offering.uuid), str(other.uuid)
    assert changes == [([], [one]), ([one], [two]), ([None], [])]
    assert any("without an entry" in line for line in await verified())
    await backfill(database, KEY, "by hand")
    assert await verified() == []


async def test_more_subjects_than_a_batch_are_sealed_at_once(
    database: Database, connection: AsyncConnection, make: Factories, verified: Verify
) -> None:
    customer = await make.customer()
    async with database.transaction() as within:
        profile = await Factories(within).profile(customer)
        await within.execute(
            text(
                "INSERT INTO payments (uuid, profile_id, date_of_payment, sum, created_at)"
                " SELECT gen_random_uuid(), :profile, '2026-11-01', 1, now()"
                " FROM generate_series(1, 1999)"
            ),
            {"profile": profile.id},
        )
        assert await seal(within, KEY, BY_TEST) == 2000
        await within.execute(text("UPDATE payment_profiles SET name = 'another'"))
        assert await seal(within, KEY, BY_TEST) == 1
    assert await verified() == []
    counts = "SELECT count(*), count(DISTINCT change) FROM subject_history"
    assert await rows(connection, counts) == [(2001, 2)]


async def test_records_of_older_subjects_start_on_request(
    database: Database, make: Factories, tamper: Tamper, verified: Verify
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    await make.credit_offering(credit, await make.offering())
    await make.project_credit(await make.project(customer))
    await make.affiliate(customer, await make.customer())
    await make.payment(await make.profile(customer))
    await tamper("DELETE FROM subject_changes")
    assert await verified() == ["-: no record"] * 5
    result = await backfill(database, KEY, "an upgrade")
    assert (result.changes, result.records) == (0, 5)
    assert await verified() == []


async def test_every_column_of_a_subject_is_recorded(
    connection: AsyncConnection, make: Factories
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    await make.project_credit(await make.project(customer))
    await make.affiliate(customer, await make.customer())
    await make.payment(await make.profile(customer))
    await make.credit_note(await make.invoice(customer))
    for kind, table in SUBJECT_TABLES.items():
        [(recorded, columns)] = await rows(
            connection,
            f"SELECT subject_as_recorded('{kind}', uuid),"
            " (SELECT array_agg(attname::text) FROM pg_attribute"
            f"  WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped)"
            f" FROM {table}",
        )
        names: Any = {name.removesuffix("_id") for name in columns} - {"id", "content"}
        assert set(recorded) - {"offerings"} == names, kind
    assert credit.uuid
