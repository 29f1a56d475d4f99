"""Prices of items: the database computes missing ones, stores given ones, and checks both."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing import money
from app.billing.currencies import get_currency
from app.invoices.models import DatabaseCurrency, Invoice, InvoiceItem
from tests.support.factories import Factories, Row


async def use_decimals(connection: AsyncConnection, decimals: int) -> None:
    if decimals > 2:
        await connection.execute(text("SELECT widen_amounts()"))
    await connection.execute(update(DatabaseCurrency).values(decimals=decimals))


async def price_of(connection: AsyncConnection, item: Row) -> Decimal:
    statement = select(InvoiceItem.price).where(InvoiceItem.id == item.id)
    return (await connection.execute(statement)).scalar_one()


async def change(connection: AsyncConnection, item: Row, **values: Any) -> Decimal:
    await connection.execute(update(InvoiceItem).where(InvoiceItem.id == item.id).values(**values))
    return await price_of(connection, item)


@pytest.fixture
async def invoice(make: Factories) -> Row:
    return await make.invoice(await make.customer())


@pytest.mark.parametrize("code", ["EUR", "JPY", "BHD", "CLF"])
async def test_a_missing_price_is_computed_at_every_size(
    code: str, make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    currency = get_currency(code)
    await use_decimals(connection, currency.decimals)
    amounts = [
        (Decimal(a), Decimal(b))
        for a in ("0", "0.0000000001", "33.3333333333", "-2.005", "123456789.1234")
        for b in ("1", "-0.97", "0.125", "98765432109.8765432101")
    ]
    for unit_price, quantity in amounts:
        item = await make.item(invoice, unit_price, quantity=quantity)
        price = await price_of(connection, item)
        assert price == money.item_price(unit_price, quantity, currency)


async def test_a_price_above_ten_to_the_sixteenth_keeps_its_cents(
    make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    item = await make.item(invoice, "123456789012.34", quantity=Decimal("1000000.7"))
    assert str(await price_of(connection, item)) == "123456875432092308.64"


async def test_a_given_price_is_kept_when_another_column_changes(
    make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    item = await make.item(invoice, "0.0134", price=Decimal("0.01"))
    assert await price_of(connection, item) == Decimal("0.01")
    assert await change(connection, item, name="Other") == Decimal("0.01")


async def test_a_price_is_computed_again_when_only_the_amounts_change(
    make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    item = await make.item(invoice, "0.0134", price=Decimal("0.01"))
    assert await change(connection, item, unit_price=Decimal("7.001")) == Decimal("7.01")
    assert await change(connection, item, quantity=Decimal(2)) == Decimal("14.01")


async def test_an_unchanged_price_given_with_new_amounts_is_kept(
    make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    item = await make.item(invoice, "0.0099")
    assert await price_of(connection, item) == Decimal("0.01")
    given = {"unit_price": Decimal("0.0134"), "price": Decimal("0.01")}
    assert await change(connection, item, **given) == Decimal("0.01")
    assert await change(connection, item, **given | {"price": Decimal("0.02")}) == Decimal("0.02")


async def test_a_price_set_to_null_is_computed(
    make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    item = await make.item(invoice, "0.0134", price=Decimal("0.01"))
    assert await change(connection, item, price=None) == Decimal("0.02")


@pytest.mark.parametrize(
    ("decimals", "price", "reason"),
    [
        (0, "1.5", "more decimals than the currency, which has 0"),
        (0, "3", "is more than 1 from unit price times quantity"),
        (2, "1.25", "is more than 0.01 from unit price times quantity"),
        (3, "1.2345", "more decimals than the currency, which has 3"),
        (3, "1.236", "is more than 0.001 from unit price times quantity"),
    ],
)
async def test_a_price_far_from_the_product_is_refused(
    make: Factories,
    connection: AsyncConnection,
    invoice: Row,
    *,
    decimals: int,
    price: str,
    reason: str,
) -> None:
    await use_decimals(connection, decimals)
    item = await make.item(invoice, "1.2345")
    with pytest.raises(DBAPIError, match=reason):
        await make.item(invoice, "1.2345", price=Decimal(price))
    with pytest.raises(DBAPIError, match=reason):
        await change(connection, item, price=Decimal(price))


async def test_an_older_price_stays_until_its_amounts_change(
    make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    item = await make.item(invoice, "10.01")
    await use_decimals(connection, 0)
    assert await change(connection, item, name="Other") == Decimal("10.01")
    assert await change(connection, item, unit_price=Decimal("10.02")) == 11


@pytest.mark.parametrize(
    ("decimals", "price", "tax_percent", "total"),
    [
        (0, "1236", "10", "1360"),
        (0, "5", "10", "6"),
        (2, "0.05", "10", "0.06"),
        (3, "0.005", "10", "0.006"),
        # Exactly 32224053803121.054978: a division would have rounded it to .0550, then to .06.
        (2, "17908221520018.37", "79.94", "32224053803121.05"),
    ],
)
async def test_the_total_is_rounded_half_up_to_the_decimals_of_the_currency(
    make: Factories,
    connection: AsyncConnection,
    *,
    decimals: int,
    price: str,
    tax_percent: str,
    total: str,
) -> None:
    await use_decimals(connection, decimals)
    await make.invoice(await make.customer(), tax_percent=Decimal(tax_percent))
    await connection.execute(update(Invoice).values(total_price=Decimal(price)))
    found = (await connection.execute(select(Invoice.total_cost))).scalar_one()
    assert found == Decimal(total)


async def test_a_total_set_by_hand_is_computed_again(
    make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    await make.item(invoice, "10")
    await connection.execute(text("UPDATE invoices SET total_cost = 1"))
    statement = select(Invoice.total_cost)
    assert (await connection.execute(statement)).scalar_one() == 12
