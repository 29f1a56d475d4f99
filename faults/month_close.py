"""Invoices that wait for the close of their month, and the check of the close."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.actions.issue import NOTIFY
from app.invoices.models import Invoice
from app.outbox.models import OutboxEntry
from faults.dataset import PRICES, SampleInvoice
from faults.load import LoadGenerator
from tests.support.factories import Factories
from tests.support.history import KEY

_ACTOR: Final = Actor("fault suite")
_INTERVAL: Final = timedelta(days=30)
"""The default of PAYMENT_INTERVAL_DAYS."""


async def add_invoices(
    database: Database,
    load: LoadGenerator,
    period: Period,
    number: int,
    state: InvoiceState = InvoiceState.PENDING,
) -> tuple[SampleInvoice, ...]:
    """Add customers, each with an owner to notify and an invoice of the month."""
    added = []
    async with audited_transaction(database, KEY, _ACTOR) as connection:
        make = Factories(connection)
        for _ in range(number):
            customer = await make.customer()
            await make.profile(customer)
            email = f"pending-{customer.id}@example.com"
            await make.owner(customer, email=email)
            invoice = await make.invoice(customer, period, state)
            for price in PRICES:
                await make.item(invoice, price, start=period.start, end=period.end)
            added.append(SampleInvoice(invoice.uuid, (email,)))
    load.request_log.expected_notifications |= {invoice.uuid for invoice in added}
    load.dataset = replace(load.dataset, to_notify=(*load.dataset.to_notify, *added))
    return tuple(added)


async def are_closed(connection: AsyncConnection, invoices: tuple[SampleInvoice, ...]) -> bool:
    """Return whether none of these invoices is pending."""
    return not await _number(connection, invoices, InvoiceState.PENDING)


async def are_pending(connection: AsyncConnection, invoices: tuple[SampleInvoice, ...]) -> bool:
    """Return whether all of these invoices are pending."""
    return await _number(connection, invoices, InvoiceState.PENDING) == len(invoices)


async def find_close_errors(
    connection: AsyncConnection, invoices: tuple[SampleInvoice, ...], running: Period, *days: date
) -> list[str]:
    """Return the differences from the result of a close in the month `running` on one day."""
    wrong = []
    columns = (Invoice.uuid, Invoice.state, Invoice.invoice_date, Invoice.due_date)
    is_one_of_these = Invoice.uuid.in_([invoice.uuid for invoice in invoices])
    for row in await connection.execute(
        select(*columns, Invoice.customer_id).where(is_one_of_these)
    ):
        if row.state != InvoiceState.CREATED or row.invoice_date not in days:
            wrong.append(f"{row.uuid} is {row.state} of {row.invoice_date} after the close")
        elif row.due_date != row.invoice_date + _INTERVAL:
            wrong.append(f"{row.uuid} of {row.invoice_date} is due on {row.due_date}")
    customers = select(Invoice.customer_id).where(is_one_of_these)
    opened = select(func.count()).where(
        Invoice.customer_id.in_(customers),
        Invoice.year == running.year,
        Invoice.month == running.month,
        Invoice.state == InvoiceState.PENDING,
    )
    number = (await connection.execute(opened)).scalar_one()
    if number != len(invoices):
        wrong.append(f"{number} invoices of {running} opened, and not {len(invoices)}")
    entries = await connection.execute(
        select(OutboxEntry.arguments).where(OutboxEntry.job == NOTIFY)
    )
    recorded = [UUID(arguments["invoice"]) for arguments in entries.scalars()]
    for invoice in invoices:
        if recorded.count(UUID(str(invoice.uuid))) != 1:
            wrong.append(f"{recorded.count(invoice.uuid)} notifications recorded of {invoice.uuid}")
    return wrong


async def _number(
    connection: AsyncConnection, invoices: tuple[SampleInvoice, ...], state: InvoiceState
) -> int:
    uuids = [invoice.uuid for invoice in invoices]
    statement = select(func.count()).where(Invoice.uuid.in_(uuids), Invoice.state == state)
    return (await connection.execute(statement)).scalar_one()
