"""Issuing an invoice: what its customer owes for the month is final."""

from sqlalchemy import case, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import due_date
from app.billing.vocabulary import InvoiceState, PaymentType
from app.invoices.tables import Invoice
from app.outbox import repository as outbox
from app.payments.tables import PaymentProfile
from app.settings import Settings

NOTIFY = "notify"
"""The worker's job that schedules the notifications of an invoice, by its UUID, `invoice`."""


async def issue(
    connection: AsyncConnection,
    invoice_id: int,
    settings: Settings,
    *,
    notify_imported: bool = False,
) -> InvoiceState | None:
    """Issue a pending invoice in the caller's transaction; return its new state.

    It becomes created, or paid where the customer's active payment profile is a fixed price
    contract. Returns None, and changes nothing, where the invoice is not pending (any more).

    With NOTIFY_ON_ISSUE its notification is recorded in the outbox, unless it is of zero or paid;
    for an imported invoice only with `notify_imported`: an import of years must not write to
    everyone for each month.
    """
    today = clock.today()
    fixed_price = exists().where(
        PaymentProfile.customer_id == Invoice.customer_id,
        PaymentProfile.is_active,
        PaymentProfile.payment_type == PaymentType.FIXED_PRICE,
    )
    statement = (
        update(Invoice)
        .where(Invoice.id == invoice_id, Invoice.state == InvoiceState.PENDING)
        .values(
            state=case((fixed_price, InvoiceState.PAID), else_=InvoiceState.CREATED),
            invoice_date=today,
            due_date=due_date(today, settings.payment_interval_days),
        )
        .returning(Invoice.uuid, Invoice.state, Invoice.total_price, Invoice.source)
    )
    issued = (await connection.execute(statement)).one_or_none()
    if issued is None:
        return None
    wanted = settings.notify_on_issue and (issued.source is None or notify_imported)
    if wanted and issued.state == InvoiceState.CREATED and issued.total_price != 0:
        await outbox.record(connection, NOTIFY, {"invoice": str(issued.uuid)})
    return InvoiceState(issued.state)


async def may_be_notified(connection: AsyncConnection, invoice_id: int) -> bool:
    """Tell whether the invoice is (still) one to write to its customer about of our own accord.

    The row stays locked, so that it stays so until the caller's transaction ends.
    """
    statement = (
        select(Invoice.state, Invoice.total_price)
        .where(Invoice.id == invoice_id)
        .with_for_update(read=True)
    )
    invoice = (await connection.execute(statement)).one()
    return bool(invoice.state == InvoiceState.CREATED and invoice.total_price != 0)
