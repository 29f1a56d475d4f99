"""Issue an invoice: what its customer owes for the month is final."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import due_date
from app.credits.actions.accrue_fees import accrue_fees
from app.invoices.actions.apply_compensations import ApplyCompensations, apply_compensations
from app.invoices.actions.freeze import freeze
from app.invoices.errors import WrongInvoiceState
from app.invoices.repository import writes
from app.invoices.states import ISSUE
from app.outbox import repository as outbox
from app.settings import Settings

NOTIFY = "notify"
"""The worker's job that schedules the notifications of an invoice, by its UUID, `invoice`."""


@dataclass(frozen=True, slots=True)
class IssueInvoice:
    """Issue a pending invoice."""

    invoice_id: int
    notify_imported: bool = False
    """Whether to notify the customer of an imported invoice, too: an import of years must not write
    to everyone for each month."""


@dataclass(frozen=True, slots=True)
class IssuedInvoice:
    """An invoice that was issued."""

    invoice_id: int
    uuid: UUID
    state: InvoiceState
    """Created; or paid, if nothing is to be paid."""


async def issue(
    connection: AsyncConnection, command: IssueInvoice, settings: Settings
) -> IssuedInvoice:
    """Issue the invoice; raises `WrongInvoiceState` if it is not pending.

    Before, the customer's credits pay items of it. It becomes created. It becomes paid at once,
    without a payment, if its total with tax is zero or the customer's active payment profile is a
    fixed price contract. Its document is frozen. With CUSTOMER_AFFILIATES the fees of the
    customer's affiliates accrue. With NOTIFY_ON_ISSUE the job that notifies the customer is
    recorded in the outbox, if `writes.lock_if_notifiable` would allow it.
    """
    today = clock.today()
    due = due_date(today, settings.payment_interval_days)
    # Most customers have no credit; one statement issues their invoices.
    issued = await writes.mark_issued(
        connection, command.invoice_id, today, due, credits_applied=False
    )
    if issued is None:
        await apply_compensations(
            connection, ApplyCompensations(command.invoice_id, is_final=True), settings.currency
        )
        issued = await writes.mark_issued(
            connection, command.invoice_id, today, due, credits_applied=True
        )
    if issued is None:
        raise WrongInvoiceState(ISSUE.valid)
    await freeze(connection, [command.invoice_id], settings, is_late=False)
    if settings.customer_affiliates:
        await accrue_fees(connection, command.invoice_id)
    notifies = settings.notify_on_issue and (issued.source is None or command.notify_imported)
    if notifies and issued.is_notifiable:
        await outbox.record_job(connection, NOTIFY, {"invoice": str(issued.uuid)})
    return IssuedInvoice(command.invoice_id, issued.uuid, InvoiceState(issued.state))
