"""The totals of an invoice follow its items in the same transaction."""

import asyncio
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing import money
from app.billing.currencies import get_currency
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.models import Invoice, InvoiceItem
from tests.support.factories import Factories, Row

EUR = get_currency("EUR")


async def totals(connection: AsyncConnection, invoice: Row) -> tuple[Any, ...]:
    statement = select(
        Invoice.total_price, Invoice.total_cost, Invoice.incurred_costs, Invoice.compensations
    ).where(Invoice.id == invoice.id)
    return tuple((await connection.execute(statement)).one())


async def test_totals_follow_each_change(make: Factories, connection: AsyncConnection) -> None:
    invoice = await make.invoice(await make.customer())
    first = await make.item(invoice, "0.001", quantity=Decimal(3))
    await make.item(invoice, "-1.005", credit=True)
    assert await totals(connection, invoice) == (
        Decimal("-1.00"),
        Decimal("-1.20"),
        Decimal("0.003"),
        Decimal("-1.005"),
    )
    await connection.execute(
        update(InvoiceItem).where(InvoiceItem.id == first.id).values(unit_price=Decimal(5))
    )
    assert (await totals(connection, invoice))[0] == Decimal("13.99")
    await connection.execute(delete(InvoiceItem).where(InvoiceItem.invoice_id == invoice.id))
    assert await totals(connection, invoice) == (0, 0, 0, 0)


async def test_moving_an_item_changes_both_invoices(
    make: Factories, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    one = await make.invoice(customer)
    other = await make.invoice(customer, Period(2026, 9))
    item = await make.item(one, "7")
    await connection.execute(
        update(InvoiceItem).where(InvoiceItem.id == item.id).values(invoice_id=other.id)
    )
    assert (await totals(connection, one))[0] == 0
    assert (await totals(connection, other))[0] == 7


async def test_two_concurrent_transactions_both_count(
    make: Factories, database: Database, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())

    async def add(price: int) -> None:
        async with database.transaction() as transaction:
            await Factories(transaction).item(invoice, Decimal(price))
            await asyncio.sleep(0.05)

    await asyncio.gather(add(1), add(10), add(100))
    assert (await totals(connection, invoice))[0] == 111


async def test_a_rolled_back_item_does_not_count(
    make: Factories, database: Database, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())
    async with database.engine.connect() as transaction:
        await Factories(transaction).item(invoice, "5")
        await transaction.rollback()
    assert (await totals(connection, invoice))[0] == 0


async def test_prices_are_rounded_by_the_rules(
    make: Factories, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())
    amounts = [
        (Decimal(a), Decimal(b))
        for a in ("0", "0.0000000001", "-0.0000000001", "33.3333333333", "2.005", "-2.005")
        for b in ("1", "0.97", "0.125", "-3", "999999999999.9999999999")
    ]
    for unit_price, quantity in amounts:
        item = await make.item(invoice, unit_price, quantity=quantity)
        price = (
            await connection.execute(select(InvoiceItem.price).where(InvoiceItem.id == item.id))
        ).scalar_one()
        assert price == money.item_price(unit_price, quantity, EUR), (unit_price, quantity)


async def test_each_change_raises_the_revision_except_import_bookkeeping(
    make: Factories, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())
    item = await make.item(invoice)
    this = Invoice.id == invoice.id

    async def revision() -> int:
        found = await connection.execute(select(Invoice.revision).where(this))
        return found.scalar_one()

    seen = [await revision()]
    await connection.execute(update(Invoice).where(this).values(backend_id="x"))
    seen.append(await revision())
    await connection.execute(
        update(InvoiceItem).where(InvoiceItem.id == item.id).values(details={"a": 1})
    )
    seen.append(await revision())
    assert seen == sorted(set(seen))
    await connection.execute(update(Invoice).where(this).values(imported_revision=seen[-1]))
    assert await revision() == seen[-1]


async def test_numbers_start_at_100001(make: Factories, connection: AsyncConnection) -> None:
    customer = await make.customer()
    values = {
        "uuid": customer.uuid,
        "customer_id": customer.id,
        "year": 2026,
        "month": 1,
        "created": Period(2026, 1).first_day,
    }
    statement = insert(Invoice).values(**values).returning(Invoice.number)
    assert (await connection.execute(statement)).scalar_one() == 100001
