"""Link a payment to an invoice, and unlink it. The invoice stays paid."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.domain_errors import UnknownReference
from app.invoices.errors import OtherCustomersInvoice
from app.invoices.repository import writes
from app.payments import repository as payments
from app.payments.actions.payments import lock_payment
from app.payments.errors import AlreadyLinked, NegativeSum, NotLinked


@dataclass(frozen=True, slots=True)
class LinkPayment:
    """Link a payment to a paid invoice of the same customer."""

    payment: UUID
    invoice: UUID


async def link_payment(connection: AsyncConnection, command: LinkPayment) -> None:
    """Link the payment.

    Raises `PaymentNotFound`, `AlreadyLinked`, `UnknownReference` unless the invoice is paid,
    `OtherCustomersInvoice`, and `NegativeSum` unless the invoice is in the customer's favour.
    """
    payment = await lock_payment(connection, command.payment)
    if payment.invoice_id is not None:
        raise AlreadyLinked
    invoice = await writes.lock_for_payment(connection, command.invoice)
    if invoice is None or invoice.state != InvoiceState.PAID:
        raise UnknownReference("invoice")
    if invoice.customer_id != payment.customer_id:
        raise OtherCustomersInvoice
    if payment.sum < 0 <= invoice.total_cost:
        raise NegativeSum
    await payments.update_payment(connection, payment.id, {"invoice_id": invoice.id})


async def unlink_payment(connection: AsyncConnection, payment_uuid: UUID) -> None:
    """Unlink the payment from its invoice; raises `PaymentNotFound` and `NotLinked`."""
    payment = await lock_payment(connection, payment_uuid)
    if payment.invoice_id is None:
        raise NotLinked
    await payments.update_payment(connection, payment.id, {"invoice_id": None})
