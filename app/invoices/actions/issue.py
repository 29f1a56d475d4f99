"""Issue invoices: what their customers owe for the month is final."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import due_date
from app.credits.actions.accrue_fees import accrue_fees, lock_affiliates
from app.credits.repository import ledger
from app.invoices.actions.apply_compensations import find_settlements, settle
from app.invoices.actions.freeze import freeze
from app.invoices.errors import WrongInvoiceState
from app.invoices.repository import compensations, writes
from app.invoices.repository.compensations import LockedInvoice
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
class IssueInvoices:
    """Issue those of the invoices that are pending, in the order in which credits pay them."""

    invoice_ids: Sequence[int]
    notify_imported: bool = False
    """As in `IssueInvoice`."""


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
    """Issue one invoice as `issue_all` does; raises `WrongInvoiceState` if it is not pending."""
    alone = IssueInvoices([command.invoice_id], command.notify_imported)
    for issued in await issue_all(connection, alone, settings):
        return issued
    raise WrongInvoiceState(ISSUE.valid)


async def issue_all(
    connection: AsyncConnection, command: IssueInvoices, settings: Settings
) -> list[IssuedInvoice]:
    """Issue invoices; return those that were issued, and leave out those that are not pending.

    Before, the credits of each customer pay items. An invoice becomes created. It becomes paid at
    once, without a payment, if its total with tax is zero or the customer's active payment profile
    is a fixed price contract. Its document is frozen. With CUSTOMER_AFFILIATES the fees of the
    customer's affiliates accrue. With NOTIFY_ON_ISSUE the job that notifies the customer is
    recorded in the outbox, if `writes.lock_if_notifiable` would allow it.

    The number of statements does not depend on the number of invoices, unless one of them changes
    a credit that another one uses. All locks are taken at first: credits, affiliates, invoices,
    each in the order of their ids.
    """
    pending = await _settle(connection, command.invoice_ids, settings)
    if not pending:
        return []
    today = clock.today()
    due = due_date(today, settings.payment_interval_days)
    rows = await writes.mark_issued(connection, pending, today, due)
    await freeze(connection, list(rows), settings, is_late=False)
    if settings.notify_on_issue:
        notified = [
            rows[invoice_id]
            for invoice_id in pending
            if rows[invoice_id].is_notifiable
            and (rows[invoice_id].source is None or command.notify_imported)
        ]
        await outbox.record_jobs(
            connection, NOTIFY, [{"invoice": str(row.uuid)} for row in notified]
        )
    return [
        IssuedInvoice(each, rows[each].uuid, InvoiceState(rows[each].state)) for each in pending
    ]


async def _settle(
    connection: AsyncConnection, invoice_ids: Sequence[int], settings: Settings
) -> list[int]:
    """Lock invoices, and let credits pay them; return the ids of those that are pending."""
    customers = set((await compensations.find_customers(connection, invoice_ids)).values())
    credits = await ledger.lock_credits_of_many(connection, customers)
    affiliates: Mapping[int, int] = {}
    if settings.customer_affiliates:
        affiliates = await lock_affiliates(connection, customers)
    if affiliates:
        # One of them may have got a credit until it was locked.
        credits = await ledger.lock_credits_of_many(connection, customers)
    locked = await compensations.lock_invoices(connection, invoice_ids)
    pending = [
        locked[each] for each in invoice_ids if each in locked and locked[each].state in ISSUE.valid
    ]
    changeable = credits.keys() | affiliates.values()
    for number, part in enumerate(split_by_credits(pending, changeable, affiliates)):
        if number:
            payers = [invoice.customer_id for invoice in part]
            credits = await ledger.lock_credits_of_many(connection, payers)
        settlements = await find_settlements(connection, part, credits)
        await settle(connection, settlements, settings.currency, is_final=True)
        if affiliates:
            await accrue_fees(connection, [invoice.id for invoice in part])
    return [invoice.id for invoice in pending]


def split_by_credits(
    invoices: Sequence[LockedInvoice], credited: Collection[int], affiliates: Mapping[int, int]
) -> Iterator[list[LockedInvoice]]:
    """Yield invoices in their order, in parts in which none uses a credit that another changes.

    An invoice changes the credit of its customer, if the customer is among the `credited`, and that
    of the customer's affiliate, who is among them.
    """
    part: list[LockedInvoice] = []
    changed: set[int] = set()
    for invoice in invoices:
        customer_id = invoice.customer_id
        if customer_id in changed:
            yield part
            part, changed = [], set()
        part.append(invoice)
        if customer_id in credited:
            changed.add(customer_id)
        if customer_id in affiliates:
            changed.add(affiliates[customer_id])
    if part:
        yield part
