"""Finds the exported values that an import rejects: they are older than the rules against them."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.currencies import Currency
from app.database import timeouts
from app.dataio.records.invoices import MAX_INVOICE_NUMBER
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import Payment
from app.urls import is_web_url

_BATCH_ROWS: Final = 1000
_MAX_LISTED: Final = 10
"""A line lists this many invoices and only counts the others."""


async def find_unimportable_records(
    connection: AsyncConnection, currency: Currency
) -> AsyncIterator[str]:
    """Yield one line for each reason for which an import rejects records, with the invoices."""
    await timeouts.disable_timeouts(connection)
    if numbers := await _with_rows(connection, Invoice.id, Invoice.number > MAX_INVOICE_NUMBER):
        yield f"The number is above {MAX_INVOICE_NUMBER}: {_invoices(numbers)}."
    if numbers := await _with_invalid_urls(connection):
        yield f"The payment URL is not valid: {_invoices(numbers)}."
    product = InvoiceItem.unit_price * InvoiceItem.quantity
    too_far = func.abs(InvoiceItem.price - product) > literal(currency.smallest_unit)
    is_invalid = or_(_has_more_decimals(InvoiceItem.price, currency), too_far)
    if numbers := await _with_rows(connection, InvoiceItem.invoice_id, is_invalid):
        yield (
            f"Prices have more decimals than {currency.code}, or are more than"
            f" {currency.smallest_unit} from unit price times quantity: {_invoices(numbers)}."
        )
    is_invalid = _has_more_decimals(Payment.sum, currency)
    if numbers := await _with_rows(connection, Payment.invoice_id, is_invalid):
        yield f"Payments have more decimals than {currency.code}: {_invoices(numbers)}."


async def _with_invalid_urls(connection: AsyncConnection) -> list[int]:
    statement = select(Invoice.number, Invoice.payment_url).where(Invoice.payment_url != "")
    rows = await connection.stream(
        statement.order_by(Invoice.number), execution_options={"yield_per": _BATCH_ROWS}
    )
    return [number async for number, url in rows if not is_web_url(url)]


async def _with_rows(
    connection: AsyncConnection, invoice_id: Any, condition: ColumnElement[bool]
) -> list[int]:
    statement = select(Invoice.number).where(Invoice.id.in_(select(invoice_id).where(condition)))
    return list((await connection.execute(statement.order_by(Invoice.number))).scalars())


def _has_more_decimals(amount: Any, currency: Currency) -> ColumnElement[bool]:
    rounded: ColumnElement[Decimal] = func.round(amount, currency.decimals)
    is_different: ColumnElement[bool] = rounded != amount
    return is_different


def _invoices(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers[:_MAX_LISTED]))
    more = f" and {len(numbers) - _MAX_LISTED:,} more" if len(numbers) > _MAX_LISTED else ""
    return f"{'invoice' if len(numbers) == 1 else 'invoices'} {listed}{more}"
