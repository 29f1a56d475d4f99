"""The counts of rows follow inserts and deletions, are merged, and are repaired."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Project
from app.database.engine import Database
from app.database.row_counts import (
    COUNTED_TABLES,
    merge_row_counts,
    repair_row_counts,
    row_count_of,
)
from app.invoices.models import InvoiceItem
from app.payments.models import Payment
from tests.support.factories import Factories, Row


async def counts(connection: AsyncConnection) -> tuple[int, int]:
    statement = select(row_count_of(InvoiceItem), row_count_of(Payment))
    items, payments = (await connection.execute(statement)).one()
    return items, payments


@pytest.fixture
async def profile(make: Factories) -> Row:
    return await make.profile(await make.customer())


async def test_counts_follow_inserts_and_deletions(
    make: Factories, profile: Row, connection: AsyncConnection
) -> None:
    assert await counts(connection) == (0, 0)
    invoice = await make.payable_invoice("1", "2")
    await make.payment(profile)
    await make.payment(profile)
    assert await counts(connection) == (2, 2)
    await connection.execute(text("DELETE FROM payments WHERE false"))
    await connection.execute(text("DELETE FROM payments"))
    await connection.execute(text("DELETE FROM invoices WHERE id = :id"), {"id": invoice.id})
    assert await counts(connection) == (0, 0)


async def test_merging_beside_changes_loses_and_doubles_nothing(
    database: Database, profile: Row, connection: AsyncConnection
) -> None:
    async def pay() -> None:
        for _ in range(5):
            async with database.transaction() as transaction:
                await Factories(transaction).payment(profile)

    async def merge() -> None:
        async with database.transaction() as transaction:
            await merge_row_counts(transaction)

    await asyncio.gather(pay(), merge(), pay(), merge(), merge())
    assert await counts(connection) == (0, 10)
    await merge()
    statement = text("SELECT number FROM row_counts WHERE counted_table = 'payments'")
    rows = (await connection.execute(statement)).scalars().all()
    assert rows == [10]


async def test_a_drifted_count_is_repaired_once(
    database: Database, profile: Row, connection: AsyncConnection, make: Factories
) -> None:
    await make.payment(profile)
    await connection.execute(text("DELETE FROM row_counts"))
    async with database.transaction() as transaction:
        assert await repair_row_counts(transaction) == {"customers": 1, "payments": 1}
    async with database.transaction() as transaction:
        assert await repair_row_counts(transaction) == {}
    assert await counts(connection) == (0, 1)


async def test_the_counted_tables_have_both_triggers(connection: AsyncConnection) -> None:
    statement = text(
        "SELECT tgrelid::regclass::text, count(*) FROM pg_trigger"
        " WHERE tgname LIKE 'count\\_rows\\_on\\_%' GROUP BY 1 ORDER BY 1"
    )
    found: Any = (await connection.execute(statement)).all()
    assert [tuple(row) for row in found] == [(name, 2) for name in COUNTED_TABLES]


def test_a_table_without_triggers_has_no_count() -> None:
    with pytest.raises(ValueError, match="not counted"):
        row_count_of(Project)
