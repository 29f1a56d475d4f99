"""Each change past the service is found with the key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as configured
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.backfill import backfill
from app.audit.verify import Discrepancy, VerificationResult, verify
from app.audit.writer import audited_transaction
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.settings import Settings
from tests.audit.conftest import Tamper, Verify
from tests.support.factories import Factories, Row
from tests.support.history import EARLIER_KEY, KEY

BY_TEST = Actor("test")
UNEXPLAINED = "no recorded change explains its values of"
CHANGED = "the entry or its recorded changes were modified"
REMOVED = "the entry was removed"
INSERTED = "the entry was inserted without the key"
MISMATCH = "its count or head does not match its last entry"
DIFFERS = "the invoice differs from its last entry in"
UNSEALED = "1 change without an entry: made outside the service or by an earlier release"


async def write(database: Database) -> Row:
    """An invoice with four entries: made, an item more, paid, annotated."""
    async with audited_transaction(database, KEY, BY_TEST) as within:
        make = Factories(within)
        customer = await make.customer()
        profile = await make.profile(customer)
        invoice = await make.invoice(customer, state=InvoiceState.CREATED)
        await make.item(invoice, "10", name="Disk")
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await Factories(within).item(invoice, "5", name="Core")
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await within.execute(text("UPDATE invoices SET state = 'paid'"))
        await Factories(within).payment(profile, invoice_id=invoice.id)
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await within.execute(text("UPDATE invoices SET backend_id = 'B'"))
    return invoice


@pytest.fixture
async def invoice(database: Database) -> Row:
    return await write(database)


@asynccontextmanager
async def undone(database: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction without triggers that leaves nothing."""
    async with database.engine.connect() as connection, connection.begin() as transaction:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection
        await transaction.rollback()


TAMPERINGS = {
    "an entry is changed": (
        "UPDATE invoice_history SET username = 'eve' WHERE sequence = 2",
        [f"2: {CHANGED}"],
    ),
    "when": (
        "UPDATE invoice_history SET recorded_at = recorded_at - interval '1 us' WHERE sequence = 2",
        [f"2: {CHANGED}"],
    ),
    "what it shows": (
        "UPDATE invoice_history SET data = data || '{\"number\": 1}' WHERE sequence = 2",
        [f"2: {CHANGED}"],
    ),
    "a digit that does not count": (
        "UPDATE invoice_history SET data = jsonb_set(data, '{total_price}', '10.000')"
        " WHERE sequence = 1",
        [f"1: {CHANGED}"],
    ),
    "an entry is removed": ("DELETE FROM invoice_history WHERE sequence = 2",
        [f"2: {REMOVED}", f"3: {UNEXPLAINED} incurred_costs, total_price", f"-: {UNSEALED}"]),
    "the first entry is removed": ("DELETE FROM invoice_history WHERE sequence = 1",
        [f"1: {REMOVED}", f"-: {UNSEALED}",
         "-: its record does not start with its whole state"]),
    "several are removed": (
        "DELETE FROM invoice_history WHERE sequence IN (2, 3)",
        [f"2: {REMOVED}, like all entries up to 3",
         f"4: {UNEXPLAINED} incurred_costs, state, total_price",
         f"-: {UNSEALED.replace('1 change', '2 changes')}"],
    ),
    "the last is cut off": (
        "DELETE FROM invoice_history WHERE sequence = 4",
        ["4: the entry was cut off the end", f"-: {DIFFERS} backend_id",
         f"-: {UNSEALED}"],
    ),
    "the last is cut off, the count lowered": (
        "WITH cut AS (DELETE FROM invoice_history WHERE sequence = 4)"
        " UPDATE invoices SET history_count = 3, backend_id = ''",
        [f"-: {MISMATCH}", f"-: {UNSEALED}"],
    ),
    "an older hash becomes the head": (
        "WITH cut AS (DELETE FROM invoice_history WHERE sequence = 4)"
        " UPDATE invoices SET history_count = 3, backend_id = '', history_head ="
        " (SELECT hash FROM invoice_history WHERE sequence = 3)",
        [f"-: {MISMATCH}", f"-: {UNSEALED}"],
    ),
    "the whole record is removed": (
        "WITH gone AS (DELETE FROM invoice_history), too AS (DELETE FROM invoice_changes)"
        " UPDATE invoices SET history_count = 0, history_head = NULL",
        ["-: no record"],
    ),
    "an entry is inserted": (
        "INSERT INTO invoice_history (change, invoice_uuid, sequence, recorded_at, operation, data,"
        " previous, hash) SELECT gen_random_uuid(), invoice_uuid, 5, recorded_at, operation, data,"
        " previous, hash FROM invoice_history WHERE sequence = 4",
        [f"5: {INSERTED}", f"-: {MISMATCH}"],
    ),
    "two entries change places": (
        "UPDATE invoice_history SET sequence = 5 - sequence + 10 WHERE sequence IN (2, 3)",
        [f"2: {REMOVED}, like all entries up to 3",
         f"12: {INSERTED}", f"13: {INSERTED}",
         f"5: {REMOVED}, like all entries up to 11",
         f"-: {MISMATCH}",
         f"-: {DIFFERS} backend_id, state"],
    ),
    "a change is altered": (
        "UPDATE invoice_changes SET became = '{\"state\": \"canceled\"}'"
        " WHERE became ->> 'state' = 'paid'",
        [f"3: {CHANGED}"],
    ),
    "a change is removed": (
        "DELETE FROM invoice_changes WHERE became ->> 'backend_id' = 'B'",
        [f"4: {CHANGED}"],
    ),
    "a change is added": (
        "INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)"
        " SELECT change, invoice_uuid, 'payment', gen_random_uuid(), '{}' FROM invoice_history"
        " WHERE sequence = 2",
        [f"2: {CHANGED}"],
    ),
    "a change is added by itself": (
        "INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)"
        " SELECT gen_random_uuid(), uuid, 'invoice', uuid, '{}', '{}' FROM invoices",
        [f"-: {UNSEALED}"],
    ),
    "the invoice is changed": (
        "UPDATE invoices SET state = 'created', total_price = 1",
        [f"-: {DIFFERS} state, total_price"],
    ),
    "an item is changed": (
        "UPDATE invoice_items SET name = 'Tape' WHERE name = 'Disk'",
        ["-: 1 item not as recorded"],
    ),
    "a detail of an item": (
        "UPDATE invoice_items SET details = '{\"a\": 1}'",
        ["-: 2 items not as recorded"],
    ),
    "an item is removed, another added": (
        "WITH gone AS (DELETE FROM invoice_items WHERE name = 'Disk' RETURNING *)"
        " INSERT INTO invoice_items"
        "     (uuid, invoice_id, name, unit_price, quantity, unit, start, \"end\", price)"
        " SELECT gen_random_uuid(), invoice_id, name, unit_price, quantity, unit, start, \"end\","
        " price"
        " FROM gone",
        ["-: 2 items not as recorded"],
    ),
    "a payment is removed": (
        "DELETE FROM payments",
        ["-: 1 payment not as recorded", "-: the payment was deleted, and no entry records it"],
    ),
    "a payment profile is changed": (
        "UPDATE payment_profiles SET name = 'mine'",
        ["-: the payment profile differs from its last entry in name"],
    ),
    "an entry of a profile is changed": (
        "UPDATE subject_history SET username = 'eve' WHERE kind = 'payment_profile'",
        [f"1: {CHANGED}"],
    ),
    "the kind of a change": (
        "UPDATE subject_changes SET kind = 'customer_credit' WHERE kind = 'payment'",
        [f"1: {CHANGED}", f"-: {UNSEALED}", "-: its record does not start with its whole state"],
    ),
    "the record of a payment is cut off": (
        "DELETE FROM subject_history WHERE kind = 'payment'",
        [f"-: {UNSEALED}", "-: no record"],
    ),
    "the head of a payment is lost": (
        "DELETE FROM subject_heads WHERE kind = 'payment'",
        [f"-: {MISMATCH}"],
    ),
    "the invoice is removed": (
        "WITH items AS (DELETE FROM invoice_items), payments AS (DELETE FROM payments)"
        " DELETE FROM invoices",
        ["-: the invoice was deleted, and no entry records it",
         "-: the payment was deleted, and no entry records it"],
    ),
}  # fmt: skip


async def test_each_tampering_is_reported(
    database: Database, settings: Settings, invoice: Row, verified: Verify
) -> None:
    assert await verified() == []
    for name, (statement, expected) in TAMPERINGS.items():
        async with undone(database) as connection:
            await connection.execute(text(statement))
            found = await discrepancies_in(connection, settings)
        descriptions = sorted(f"{each.sequence or '-'}: {each.description}" for each in found)
        assert descriptions == sorted(expected), name
        assert {each.uuid for each in found if each.kind == "invoice"} <= {invoice.uuid}
    assert await verified() == []


async def discrepancies_in(connection: AsyncConnection, settings: Settings) -> list[Discrepancy]:
    """Verify the changes that a transaction has not committed."""

    class Within:
        @asynccontextmanager
        async def snapshot(self) -> AsyncIterator[AsyncConnection]:
            yield connection

    verification = VerificationResult()
    within: Any = Within()
    return [each async for each in verify(within, settings, verification)]


async def test_a_later_change_does_not_hide_a_forgery(
    database: Database, invoice: Row, tamper: Tamper, verified: Verify
) -> None:
    await tamper("UPDATE invoices SET due_date = '2030-01-01'")
    await tamper("DELETE FROM invoice_history WHERE sequence = 4")
    await tamper("UPDATE invoice_history SET username = 'eve' WHERE sequence = 2")
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await within.execute(text("UPDATE invoices SET reference_number = 'R'"))
    assert await verified() == [
        f"2: {CHANGED}",
        f"4: {REMOVED}",
        f"5: {UNEXPLAINED} backend_id, due_date",
        f"-: {UNSEALED}",
    ]
    assert invoice.id


async def test_changes_without_an_entry_are_adopted_only_on_request(
    database: Database,
    connection: AsyncConnection,
    make: Factories,
    invoice: Row,
    verified: Verify,
) -> None:
    # As an operator or a release without a record does.
    await connection.execute(text("UPDATE invoices SET reference_number = 'by hand'"))
    await connection.execute(text("UPDATE invoice_items SET unit_price = 7 WHERE name = 'Disk'"))
    other = await make.invoice(await make.customer())
    await make.item(other)
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await within.execute(text("UPDATE invoices SET payment_url = 'https://example.com'"))
    found = sorted(await verified())
    assert found == [
        "-: 2 changes without an entry: made outside the service or by an earlier release",
        "-: 2 changes without an entry: made outside the service or by an earlier release",
        "-: its record does not start with its whole state",
        f"5: {UNEXPLAINED} incurred_costs, reference_number, total_price",
    ]
    result = await backfill(database, KEY, "an upgrade")
    assert str(result) == "Changes sealed: 4; records started: 0."
    assert await verified() == []
    descriptions = await connection.execute(
        text("SELECT DISTINCT comment FROM invoice_history WHERE operation = 'audit_adopt'")
    )
    assert descriptions.scalars().all() == ["an upgrade"]
    assert str(await backfill(database, KEY, "again")) == "Changes sealed: 0; records started: 0."
    assert invoice.id


async def test_records_of_older_invoices_start_on_request(
    database: Database, make: Factories, tamper: Tamper, verified: Verify
) -> None:
    customer = await make.customer()
    invoice = await make.invoice(customer)
    await make.item(invoice, "3")
    await make.payment(await make.profile(customer), invoice_id=invoice.id)
    changed = await make.invoice(await make.customer())
    # As after the upgrade of a database that has invoices.
    await tamper("DELETE FROM invoice_changes")
    await tamper("DELETE FROM subject_changes")
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await within.execute(
            text("UPDATE invoices SET backend_id = 'x' WHERE id = :id"), {"id": changed.id}
        )
    assert sorted(await verified()) == [
        "-: its record does not start with its whole state",
        "-: no record",
        "-: no record",
        "-: no record",
    ]
    result = await backfill(database, KEY, "an upgrade")
    assert (result.changes, result.records) == (0, 4)
    assert await verified() == []


async def test_entries_of_previous_keys_are_verified(
    database: Database, settings: Settings, invoice: Row
) -> None:
    async def found(**keys: Any) -> list[Discrepancy]:
        given = settings.model_copy(update=keys)
        return [each async for each in verify(database, given, VerificationResult())]

    # Four entries and the head of the invoice, an entry and the head of profile and payment.
    assert len(await found(audit_key=EARLIER_KEY)) == 9
    rotated = {"audit_key": EARLIER_KEY, "audit_keys_previous": (KEY,)}
    assert await found(**rotated) == []
    async with audited_transaction(database, EARLIER_KEY, BY_TEST) as within:
        await within.execute(text("UPDATE invoices SET backend_id = 'new'"))
    assert await found(**rotated) == []
    assert [each.sequence for each in await found()] == [5, None]
    assert invoice.id


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
    "uuid": st.just(None).map(lambda _: uuid4()),
    "bigint": st.integers(5, 2**62),
    "bytea": st.binary(max_size=40),
    "timestamptz": st.integers(1, 10**9),
}
COLUMNS = {
    "invoice_history": {
        "change": "uuid",
        "invoice_uuid": "uuid",
        "sequence": "bigint",
        "recorded_at": "timestamptz",
        "operation": "text",
        "user_uuid": "uuid",
        "username": "text",
        "token": "text",
        "request_id": "text",
        "comment": "text",
        "data": "jsonb",
        "previous": "bytea",
        "hash": "bytea",
    },
    "invoice_changes": {
        "change": "uuid",
        "invoice_uuid": "uuid",
        "subject": "uuid",
        "was": "jsonb",
        "became": "jsonb",
    },
}


@given(data=st.data())
@configured(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_single_change_of_a_record_is_found(settings: Settings, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(sorted(COLUMNS)))
    column = data.draw(st.sampled_from(sorted(COLUMNS[table])))
    kind = COLUMNS[table][column]
    place = data.draw(st.integers(0, 3))
    if kind == "jsonb":
        key = data.draw(VALUES["text"])
        value = f"coalesce({column}, '{{}}') || jsonb_build_object(CAST(:value AS text), 1)"
        given_value = key
    elif kind == "timestamptz":
        value = f"{column} + CAST(:value AS text)::bigint * interval '1 us'"
        given_value = str(data.draw(VALUES[kind]))
    else:
        value, given_value = f"CAST(:value AS {kind})", data.draw(VALUES[kind])

    async def tamper_and_verify() -> tuple[int, list[Discrepancy]]:
        database = Database(settings)
        try:
            async with database.reading() as connection:
                is_new = text("SELECT NOT EXISTS (SELECT FROM invoice_history)")
                if (await connection.execute(is_new)).scalar_one():
                    await write(database)
            async with undone(database) as connection:
                changed = await connection.execute(
                    text(
                        f"UPDATE {table} SET {column} = {value} WHERE id ="
                        f" (SELECT id FROM {table} ORDER BY id LIMIT 1 OFFSET {place})"
                        f" AND {column} IS DISTINCT FROM ({value})"
                    ),
                    {"value": given_value},
                )
                return changed.rowcount, await discrepancies_in(connection, settings)
        finally:
            await database.close()

    count, found = asyncio.run(tamper_and_verify())
    assert bool(found) == bool(count)
