import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.invoices.jobs import reconcile_totals as module
from app.invoices.jobs.reconcile_totals import reconcile_totals
from app.invoices.models import Invoice, InvoiceItem
from tests.support.factories import Factories, Row
from tests.support.history import KEY


@asynccontextmanager
async def without_triggers(connection: AsyncConnection) -> AsyncIterator[None]:
    await connection.execute(text("ALTER TABLE invoice_items DISABLE TRIGGER USER"))
    yield
    await connection.execute(text("ALTER TABLE invoice_items ENABLE TRIGGER USER"))


async def kept(connection: AsyncConnection, invoice: Row) -> Any:
    statement = select(
        Invoice.total_price,
        Invoice.incurred_costs,
        Invoice.compensations,
        Invoice.total_cost,
        Invoice.revision,
        Invoice.number,
    )
    return (await connection.execute(statement.where(Invoice.id == invoice.id))).one()


async def test_without_drift_nothing_is_touched(
    make: Factories, database: Database, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice, "0.0010000000", quantity=Decimal("3.5"))
    await make.item(invoice, "-1", credit=True)
    empty = await make.invoice(await make.customer())
    before = [await kept(connection, row) for row in (invoice, empty)]
    summary = await reconcile_totals(database, KEY)
    assert (summary.counts, summary.notes) == ({}, [])
    assert [await kept(connection, row) for row in (invoice, empty)] == before


async def test_drift_is_reported_and_repaired(
    make: Factories,
    database: Database,
    connection: AsyncConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    made = [await make.invoice(await make.customer()) for _ in range(5)]
    items = [await make.item(invoice, "10") for invoice in made]
    async with without_triggers(connection):
        await make.item(made[1], "2.005", price=Decimal("2.01"))
        await make.item(made[3], "-3", credit=True, price=Decimal(-3))
        await connection.execute(text(f"DELETE FROM invoice_items WHERE id = {items[4].id}"))
    before = [await kept(connection, invoice) for invoice in made]
    summary = await reconcile_totals(database, KEY)
    after = [await kept(connection, invoice) for invoice in made]
    assert [tuple(row[:4]) for row in after] == [
        (Decimal(10), Decimal(10), Decimal(0), Decimal(12)),
        (Decimal("12.01"), Decimal("12.005"), Decimal(0), Decimal("14.41")),
        (Decimal(10), Decimal(10), Decimal(0), Decimal(12)),
        (Decimal(7), Decimal(10), Decimal(-3), Decimal("8.40")),
        (Decimal(0), Decimal(0), Decimal(0), Decimal(0)),
    ]
    touched = [new.revision != old.revision for new, old in zip(after, before, strict=True)]
    assert touched == [False, True, False, True, True]
    assert summary.counts == {"repaired": 3}
    assert len(summary.notes) == 3
    assert summary.notes[0] == (
        f"invoice {after[1].number} had total_price 10 instead of 12.01,"
        " incurred_costs 10 instead of 12.005, total_cost 12 instead of 14.41"
    )
    assert (await reconcile_totals(database, KEY)).counts == {}


async def test_a_drifted_total_with_tax_is_reported_and_repaired(
    make: Factories, database: Database, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice, "10")
    await connection.execute(text("ALTER TABLE invoices DISABLE TRIGGER USER"))
    await connection.execute(text("UPDATE invoices SET total_cost = 13"))
    await connection.execute(text("ALTER TABLE invoices ENABLE TRIGGER USER"))
    summary = await reconcile_totals(database, KEY)
    after = await kept(connection, invoice)
    assert after.total_cost == 12
    assert summary.notes == [f"invoice {after.number} had total_cost 13 instead of 12"]


async def test_items_changed_at_the_same_time_are_not_lost(
    make: Factories, database: Database, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice, "10")
    async with without_triggers(connection):
        await make.item(invoice, "1", price=Decimal(1))
    async with database.engine.connect() as transaction:
        await Factories(transaction).item(invoice, "100")
        mending = asyncio.create_task(reconcile_totals(database, KEY))
        await asyncio.sleep(0.2)
        assert not mending.done()
        await transaction.commit()
        await mending
    assert (await kept(connection, invoice)).total_price == 111


async def test_a_busy_invoice_is_never_mended_wrongly(
    make: Factories, database: Database, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())
    item = await make.item(invoice, "1")

    async def change() -> None:
        for price in range(2, 60):
            async with database.transaction() as transaction:
                await transaction.execute(
                    update(InvoiceItem).where(InvoiceItem.id == item.id).values(unit_price=price)
                )

    async def reconcile() -> int:
        return sum([(await reconcile_totals(database, KEY)).counts["repaired"] for _ in range(20)])

    _, mended = await asyncio.gather(change(), reconcile())
    assert mended == 0
    assert (await kept(connection, invoice)).total_price == 59
