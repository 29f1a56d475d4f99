"""Payments with their customers and invoices, for operators."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Integer, RowMapping, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.invoices.models import DatabaseCurrency, Invoice
from app.payments.models import Payment, PaymentProfile

_decimals = select(cast(DatabaseCurrency.decimals, Integer)).scalar_subquery()


async def list_payments(
    connection: AsyncConnection, *, customer: UUID | None = None, invoice: UUID | None = None
) -> Sequence[RowMapping]:
    """Return payments, newest first, only those of a customer or an invoice if given."""
    statement = (
        select(
            Payment.uuid,
            Payment.date_of_payment,
            func.round(Payment.sum, _decimals).label("sum"),
            Customer.uuid.label("customer_uuid"),
            Customer.name.label("customer_name"),
            Invoice.uuid.label("invoice_uuid"),
            Invoice.number.label("invoice_number"),
            Payment.proof_name,
            Payment.proof_media_type,
            Payment.proof_size,
        )
        .join(PaymentProfile, PaymentProfile.id == Payment.profile_id)
        .join(Customer, Customer.id == PaymentProfile.customer_id)
        .outerjoin(Invoice, Invoice.id == Payment.invoice_id)
        .order_by(Payment.date_of_payment.desc(), Payment.id.desc())
    )
    if customer is not None:
        statement = statement.where(Customer.uuid == customer)
    if invoice is not None:
        statement = statement.where(Invoice.uuid == invoice)
    return (await connection.execute(statement)).mappings().all()
