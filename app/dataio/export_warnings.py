"""What an export holds and the import refuses: values that are older than the rule against them."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.currencies import Currency
from app.database import timeouts
from app.dataio.records import LARGEST_NUMBER
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import Payment
from app.urls import is_web_url

_ROWS_AT_ONCE: Final = 1000
_NAMED: Final = 10
"""So many invoices of a reason are named; the rest is only counted."""


async def unimportable(connection: AsyncConnection, currency: Currency) -> AsyncIterator[str]:
    """Yield a line for each reason why the import refuses records, with the invoices concerned."""
    await timeouts.disable_timeouts(connection)
    too_high = select(Invoice.number).where(Invoice.number > LARGEST_NUMBER)
    numbers = list((await connection.execute(too_high.order_by(Invoice.number))).scalars())
    if numbers:
        yield f"The number is above {LARGEST_NUMBER}: {_invoices(numbers)}."
    if numbers := await _with_wrong_urls(connection):
        yield f"URL parsers do not read the payment URL: {_invoices(numbers)}."
    product = InvoiceItem.unit_price * InvoiceItem.quantity
    too_far = func.abs(InvoiceItem.price - product) > literal(currency.smallest_unit)
    wrong = or_(_is_too_fine(InvoiceItem.price, currency), too_far)
    if numbers := await _with(connection, InvoiceItem.invoice_id, wrong):
        yield (
            f"Prices have more decimals than {currency.code}, or are more than"
            f" {currency.smallest_unit} from unit price times quantity: {_invoices(numbers)}."
        )
    wrong = _is_too_fine(Payment.sum, currency)
    if numbers := await _with(connection, Payment.invoice_id, wrong):
        yield f"Payments have more decimals than {currency.code}: {_invoices(numbers)}."


async def _with_wrong_urls(connection: AsyncConnection) -> list[int]:
    statement = select(Invoice.number, Invoice.payment_url).where(Invoice.payment_url != "")
    rows = await connection.stream(
        statement.order_by(Invoice.number), execution_options={"yield_per": _ROWS_AT_ONCE}
    )
    return [number async for number, url in rows if not is_web_url(url)]


async def _with(
    connection: AsyncConnection, invoice_id: Any, condition: ColumnElement[bool]
) -> list[int]:
    statement = select(Invoice.number).where(Invoice.id.in_(select(invoice_id).where(condition)))
    return list((await connection.execute(statement.order_by(Invoice.number))).scalars())


def _is_too_fine(amount: Any, currency: Currency) -> ColumnElement[bool]:
    rounded: ColumnElement[Decimal] = func.round(amount, currency.decimals)
    is_too_fine: ColumnElement[bool] = rounded != amount
    return is_too_fine


def _invoices(numbers: list[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED]))
    more = f" and {len(numbers) - _NAMED:,} more" if len(numbers) > _NAMED else ""
    return f"{'invoice' if len(numbers) == 1 else 'invoices'} {named}{more}"
