"""The record of a change: all of it, with its actor, in the same transaction."""

import asyncio
import re
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.backfill import backfill
from app.audit.writer import audited_transaction, seal
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.invoices.models import Invoice
from tests.audit.conftest import Verify, rows
from tests.support.factories import Factories
from tests.support.history import KEY

ENTRIES = """
SELECT sequence, operation, username, token, comment,
       (SELECT json_agg(json_build_array(kind, was, became) ORDER BY c.id)
        FROM invoice_changes AS c
        WHERE c.change = h.change AND c.invoice_uuid = h.invoice_uuid) AS changes
FROM invoice_history AS h WHERE invoice_uuid = :uuid ORDER BY sequence
"""
BY_TEST = Actor("test")


async def test_a_payment_is_recorded_with_its_actor(
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    make: Factories,
    statements: list[str],
) -> None:
    staff = await make.user(is_staff=True, username="anna")
    await make.token(staff, "key-by-name", name="console")
    customer = await make.customer()
    profile = await make.profile(customer)
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(invoice, "10")
    path = f"/api/invoices/{invoice.uuid}"
    headers = {"Authorization": "Token key-by-name", "X-Request-ID": "the-request"}
    await client.get(f"{path}/", headers=headers)

    statements.clear()
    answer = await client.post(
        f"{path}/set_backend_id/", json={"backend_id": "B-1"}, headers=headers
    )
    assert answer.status_code == 200
    # It is found, then changed; two statements seal.
    assert len(statements) == 4
    statements.clear()
    again = await client.post(
        f"{path}/set_backend_id/", json={"backend_id": "B-1"}, headers=headers
    )
    assert again.status_code == 200
    # A request that changes nothing leaves no record; two statements look for changes.
    assert len(statements) == 4
    statements.clear()
    paid = await client.post(f"{path}/paid/", json={"date": "2026-11-05"}, headers=headers)
    assert paid.status_code == 200
    # The invoice is found and marked as paid, and the payment recorded; two statements seal the
    # change of the invoice, and two that of the payment; two read the response.
    assert len(statements) == 9

    noted, payment = await rows(connection, ENTRIES, uuid=invoice.uuid)
    assert noted[:5] == (1, "invoices_set_backend_id", "anna", "console", "")
    assert noted[5] == [["invoice", {"backend_id": ""}, {"backend_id": "B-1"}]]
    assert payment[:3] == (2, "invoices_paid", "anna")
    of_invoice, of_payment = payment[5]
    assert of_invoice == ["invoice", {"state": "created"}, {"state": "paid"}]
    assert of_payment[:2] == ["payment", None]
    assert of_payment[2]["sum"] == 12.0
    assert of_payment[2]["profile"] == str(profile.uuid)
    who = await rows(
        connection, "SELECT DISTINCT user_uuid, request_id, data ->> 'state' FROM invoice_history"
    )
    assert sorted(who, key=str) == [
        (staff.uuid, "the-request", "created"),
        (staff.uuid, "the-request", "paid"),
    ]


async def test_a_change_that_is_rolled_back_leaves_no_entry(
    client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
) -> None:
    headers = (await make.staff()).headers
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    before = await rows(connection, "SELECT count(*) FROM invoice_changes")
    # There is no payment profile.
    answer = await client.post(
        f"/api/invoices/{invoice.uuid}/paid/", json={"date": "2026-11-05"}, headers=headers
    )
    assert answer.status_code == 400
    assert await rows(connection, "SELECT count(*) FROM invoice_changes") == before
    assert await rows(connection, ENTRIES, uuid=invoice.uuid) == []


async def test_insert_update_and_delete_of_a_row_are_recorded(
    database: Database, connection: AsyncConnection, make: Factories, verified: Verify
) -> None:
    customer = await make.customer()
    async with audited_transaction(database, KEY, BY_TEST) as within:
        inside = Factories(within)
        one = await inside.invoice(customer)
        other = await inside.invoice(await inside.customer())
        item = await inside.item(one, "10", details={"a": 1})
        profile = await inside.profile(customer)
        payment = await inside.payment(profile, invoice_id=one.id)
        unrelated = await inside.payment(profile)

    async def change(statement: str, **values: Any) -> list[Any]:
        async with audited_transaction(database, KEY, BY_TEST) as within:
            await within.execute(text(statement), values)
        of_both = await rows(
            connection,
            """
            SELECT c.invoice_uuid = :one, kind, was IS NOT NULL, became IS NOT NULL
            FROM invoice_changes AS c JOIN invoice_history AS h USING (change, invoice_uuid)
            WHERE change = (SELECT change FROM invoice_history ORDER BY id DESC LIMIT 1)
            ORDER BY kind, c.invoice_uuid = :one
            """,
            one=one.uuid,
        )
        assert await verified() == []
        return of_both

    assert await change("UPDATE invoice_items SET unit_price = 11") == [
        (True, "invoice", True, True),
        (True, "item", True, True),
    ]
    assert await change("UPDATE invoice_items SET invoice_id = :to", to=other.id) == [
        (False, "invoice", True, True),
        (True, "invoice", True, True),
        (False, "item", False, True),
        (True, "item", True, False),
    ]
    assert await change("UPDATE payments SET sum = 3 WHERE id = :id", id=payment.id) == [
        (True, "payment", True, True)
    ]
    assert await change("UPDATE payments SET invoice_id = NULL WHERE id = :id", id=payment.id) == [
        (True, "payment", True, False)
    ]
    assert await change(
        "UPDATE payments SET invoice_id = :to WHERE id = :id", to=one.id, id=unrelated.id
    ) == [(True, "payment", False, True)]
    assert await change("DELETE FROM payments") == [(True, "payment", True, False)]
    assert await change("DELETE FROM invoices WHERE id = :id", id=other.id) == [
        (False, "invoice", True, False),
        (False, "item", True, False),
    ]
    gone = await rows(
        connection,
        "SELECT data IS NULL FROM invoice_history WHERE invoice_uuid = :uuid ORDER BY sequence",
        uuid=other.uuid,
    )
    assert gone == [(False,), (False,), (True,)]
    assert item.uuid != payment.uuid

    # One that comes back goes on where its record ended.
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await Factories(within).invoice(await make.customer(), uuid=other.uuid)
    assert await verified() == []


async def test_bookkeeping_columns_are_not_recorded(
    database: Database, connection: AsyncConnection, make: Factories
) -> None:
    invoice = await make.invoice(await make.customer())
    seen = "SELECT revision, imported_revision, history_count FROM invoices"
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await within.execute(text("UPDATE invoices SET backend_id = 'x'"))
    assert await rows(connection, seen) == [(2, None, 1)]
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await within.execute(text("UPDATE invoices SET imported_revision = revision"))
        await within.execute(text("UPDATE invoices SET backend_id = 'x'"))
    assert await rows(connection, seen) == [(3, 2, 1)]
    assert invoice.id


async def test_sealing_twice_writes_two_entries(
    database: Database, connection: AsyncConnection, make: Factories, verified: Verify
) -> None:
    async with database.transaction() as within:
        invoice = await Factories(within).invoice(await make.customer())
        assert await seal(within, KEY, BY_TEST) == 1
        assert await seal(within, KEY, BY_TEST) == 0
        await within.execute(text("UPDATE invoices SET backend_id = 'x'"))
        assert await seal(within, KEY, BY_TEST, "why") == 1
    recorded = await rows(connection, ENTRIES, uuid=invoice.uuid)
    assert [row[4] for row in recorded] == ["", "why"]
    assert await verified() == []


async def test_concurrent_changes_are_sealed_in_sequence(
    client: httpx.AsyncClient, connection: AsyncConnection, make: Factories, verified: Verify
) -> None:
    headers = (await make.staff()).headers
    invoice = await make.invoice(await make.customer())
    path = f"/api/invoices/{invoice.uuid}/set_backend_id/"
    answers = await asyncio.gather(
        *(client.post(path, json={"backend_id": f"{i}"}, headers=headers) for i in range(12))
    )
    assert {answer.status_code for answer in answers} == {200}
    counted = await rows(connection, "SELECT history_count FROM invoices")
    assert counted == [(12,)]
    found = await verified()
    # The factory wrote past the service; the chain itself is whole.
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == [
        "1 change without an entry",
        "its record does not start with its whole state",
    ]


async def test_more_invoices_than_a_batch_are_sealed(
    database: Database, connection: AsyncConnection, make: Factories, verified: Verify
) -> None:
    customer = await make.customer()
    async with audited_transaction(database, KEY, BY_TEST) as within:
        await within.execute(
            text(
                "INSERT INTO invoices (uuid, customer_id, year, month, tax_percent, created)"
                " SELECT gen_random_uuid(), :customer, 1 + n / 12, 1 + n % 12, 0, '2026-10-01'"
                " FROM generate_series(1, 2500) AS n"
            ),
            {"customer": customer.id},
        )
    entries = await rows(connection, "SELECT count(*), count(DISTINCT change) FROM invoice_history")
    assert entries == [(2500, 1)]
    assert await verified() == []


@pytest.mark.parametrize(
    "table", ["invoice_changes", "invoice_history", "subject_changes", "subject_history"]
)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_record_is_append_only(
    connection: AsyncConnection, table: str, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="only added to"):
        await connection.execute(text(statement.format(table)))


async def test_every_column_is_recorded_or_listed_as_left_out(
    connection: AsyncConnection, make: Factories
) -> None:
    """A new column belongs to one of the two, and to the trigger that watches for changes."""
    await make.invoice(await make.customer())
    [(recorded,)] = await rows(connection, "SELECT invoice_as_recorded(i) FROM invoices AS i")
    left_out = {
        "id", "total_cost", "revision", "imported_revision", "history_count", "history_head",
    }  # fmt: skip
    columns = {column.name for column in Invoice.__table__.columns} - left_out
    by_value = {"customer_id", "document_version"}
    assert set(recorded) == columns - by_value | {"customer", "document"}
    [(body,)] = await rows(
        connection, "SELECT prosrc FROM pg_proc WHERE proname = 'record_changed_invoices'"
    )
    condition = re.search(r"WHERE \((o\..*?)\)\s+IS DISTINCT FROM\s+\((n\..*?)\)", body, re.DOTALL)
    assert condition is not None
    before, after = (re.findall(r"\b[on]\.(\w+)", side) for side in condition.groups())
    assert before == after
    assert set(before) == columns


async def test_an_update_of_many_invoices_records_the_change_of_each(
    database: Database, connection: AsyncConnection, make: Factories, verified: Verify
) -> None:
    invoices = [await make.invoice(await make.customer()) for _ in range(3)]
    await backfill(database, KEY, "made by a test")
    async with audited_transaction(database, KEY, Actor("test")) as transaction:
        await transaction.execute(
            text("UPDATE invoices SET backend_id = number, payment_url = '' WHERE id <> :id"),
            {"id": invoices[1].id},
        )
        await transaction.execute(text("UPDATE invoices SET backend_id = backend_id"))
    changes = "SELECT was, became FROM invoice_changes WHERE was IS NOT NULL ORDER BY became::text"
    assert [tuple(change) for change in await rows(connection, changes)] == [
        ({"backend_id": ""}, {"backend_id": number}) for number in ("100001", "100003")
    ]
    assert await verified() == []


async def test_an_invoice_with_another_key_is_recorded_as_gone_and_as_new(
    database: Database, connection: AsyncConnection, make: Factories, verified: Verify
) -> None:
    invoice = await make.invoice(await make.customer())
    await backfill(database, KEY, "made by a test")
    async with audited_transaction(database, KEY, Actor("test")) as transaction:
        await transaction.execute(text("UPDATE invoices SET id = id + 1000, backend_id = 'B'"))
    changes = (
        "SELECT was ->> 'backend_id', became ->> 'backend_id' FROM invoice_changes"
        " WHERE kind = 'invoice' AND invoice_uuid = :uuid ORDER BY id DESC LIMIT 2"
    )
    found = (await connection.execute(text(changes), {"uuid": invoice.uuid})).all()
    assert set(found) == {("", None), (None, "B")}
    assert await verified() == []


async def test_amounts_keep_their_digits(
    database: Database, connection: AsyncConnection, make: Factories
) -> None:
    invoice = await make.invoice(await make.customer())
    price = Decimal("123456789012.0123456789")
    await make.item(invoice, price, uuid=uuid4())
    [(unit_price,)] = await rows(
        connection, "SELECT became ->> 'unit_price' FROM invoice_changes WHERE kind = 'item'"
    )
    assert unit_price == str(price)
