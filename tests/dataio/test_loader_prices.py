"""The loader computes and checks the prices of items."""

from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.invoices.models import Invoice, InvoiceItem
from app.settings import Settings
from tests.dataio.record_factories import (
    build_customer,
    build_invoice,
    build_item,
    build_payment,
    build_profile,
    counts_by_kind,
    import_records,
)


async def test_a_missing_price_is_computed(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    bill = build_invoice(one)
    given, made = build_item(bill, "0.0134", price=Decimal("0.01")), build_item(bill, "0.0134")
    await import_records(database, settings, [one, bill, given, made])
    statement = select(InvoiceItem.price).order_by(InvoiceItem.id)
    prices = (await connection.execute(statement)).scalars().all()
    assert list(map(str, prices)) == ["0.01", "0.02"]
    total = (await connection.execute(select(Invoice.total_price))).scalar_one()
    assert total == Decimal("0.03")


async def test_a_second_import_updates_a_price_with_its_record(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    bill = build_invoice(one)
    line = build_item(bill, "0.0134", price=Decimal("0.01"))
    await import_records(database, settings, [one, bill, line])

    async def again(**changes: Any) -> tuple[tuple[int, int, int], str]:
        report = await import_records(database, settings, [line.model_copy(update=changes)])
        price = (await connection.execute(select(InvoiceItem.price))).scalar_one()
        return counts_by_kind(report)["invoice_item"], str(price)

    assert await again() == ((0, 0, 1), "0.01")
    assert await again(unit_price=Decimal("0.0199")) == ((0, 1, 0), "0.01")
    assert await again(price=None) == ((0, 1, 0), "0.02")
    assert await again(price=None) == ((0, 0, 1), "0.02")
    assert await again(price=None, quantity=Decimal(3)) == ((0, 1, 0), "0.05")


async def test_a_price_that_does_not_fit_the_item_or_the_currency_is_rejected(
    database: Database, settings: Settings
) -> None:
    one = build_customer()
    bill, paying = build_invoice(one), build_profile(one)
    fine, far = build_item(bill, price=Decimal("1.505")), build_item(bill, price=Decimal("1.52"))
    paid = build_payment(paying, content=None, sum=Decimal("1.005"))
    report = await import_records(
        database, settings, [one, bill, paying, fine, far, paid], keep_good=True
    )
    assert [str(fault) for fault in report.rejected] == [
        f"line 4 (invoice_item {fine.uuid}): price: more than the 2 decimals of EUR",
        f"line 5 (invoice_item {far.uuid}): price: more than 0.01 from unit_price times quantity",
        f"line 6 (payment {paid.uuid}): sum: more than the 2 decimals of EUR",
    ]
