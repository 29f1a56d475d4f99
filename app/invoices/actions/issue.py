"""Issuing an invoice: what its customer owes for the month is final."""

from typing import Final

from sqlalchemy import and_, case, exists, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState, PaymentType
from app.billing.periods import due_date
from app.invoices.models import Invoice, InvoiceItem
from app.outbox import repository as outbox
from app.payments.models import PaymentProfile
from app.settings import Settings

NOTIFY = "notify"
"""The worker's job that schedules the notifications of an invoice, by its UUID, `invoice`."""

_HAS_FIXED_PRICE: Final = (
    exists()
    .where(
        PaymentProfile.customer_id == Invoice.customer_id,
        PaymentProfile.is_active,
        PaymentProfile.payment_type == PaymentType.FIXED_PRICE,
    )
    .correlate(Invoice)
)
_HAS_CHARGES: Final = (
    exists().where(InvoiceItem.invoice_id == Invoice.id, InvoiceItem.price > 0).correlate(Invoice)
)
_IS_NOTIFIED: Final = case(
    (
        Invoice.total_cost == 0,
        and_(
            Invoice.state.in_((InvoiceState.CREATED, InvoiceState.PAID)),
            not_(_HAS_FIXED_PRICE),
            _HAS_CHARGES,
        ),
    ),
    else_=Invoice.state == InvoiceState.CREATED,
).label("is_notified")
"""Whether a customer is notified of an issued invoice: it asks for money, gives money back, or
shows that credits have paid for everything."""


async def issue(
    connection: AsyncConnection,
    invoice_id: int,
    settings: Settings,
    *,
    notify_imported: bool = False,
) -> InvoiceState | None:
    """Issue a pending invoice in the caller's transaction; return its new state.

    It becomes created. It becomes paid at once, without a payment, where nothing is to be paid (the
    total with tax, rounded, is zero) and where the customer's active payment profile is a fixed
    price contract. Returns None, and changes nothing, where the invoice is not pending (any more).

    With NOTIFY_ON_ISSUE its notification is recorded in the outbox if the invoice is one for
    `may_be_notified`; for an imported invoice only with `notify_imported`: an import of years must
    not write to everyone for each month.
    """
    today = clock.today()
    statement = (
        update(Invoice)
        .where(Invoice.id == invoice_id, Invoice.state == InvoiceState.PENDING)
        .values(
            state=case(
                (or_(Invoice.total_cost == 0, _HAS_FIXED_PRICE), InvoiceState.PAID),
                else_=InvoiceState.CREATED,
            ),
            invoice_date=today,
            due_date=due_date(today, settings.payment_interval_days),
        )
        .returning(Invoice.uuid, Invoice.state, Invoice.source, _IS_NOTIFIED)
    )
    issued = (await connection.execute(statement)).one_or_none()
    if issued is None:
        return None
    wanted = settings.notify_on_issue and (issued.source is None or notify_imported)
    if wanted and issued.is_notified:
        await outbox.record_job(connection, NOTIFY, {"invoice": str(issued.uuid)})
    return InvoiceState(issued.state)


async def may_be_notified(connection: AsyncConnection, invoice_id: int) -> bool:
    """Tell whether the invoice is (still) one to write to its customer about of our own accord.

    That is a created one whose total is not zero; and one of zero, created or paid, with items that
    cost something, unless the customer has a fixed price contract. The row stays locked, so that it
    stays so until the caller's transaction ends.
    """
    statement = (
        select(_IS_NOTIFIED).where(Invoice.id == invoice_id).with_for_update(read=True, of=Invoice)
    )
    return bool((await connection.execute(statement)).scalar_one())
