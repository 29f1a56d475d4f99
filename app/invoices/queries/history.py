"""The history of one invoice, as the audit log has it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit import queries
from app.audit.queries import TimeRange
from app.database.filter_set import FilterSet
from app.identity.caller import Caller
from app.invoices.errors import VersionNotFound
from app.invoices.repository.reads import find_visible_invoice


@dataclass(frozen=True, slots=True)
class InvoiceHistory:
    """The entries of one invoice within a time range."""

    uuid: UUID
    time_range: TimeRange
    count: int


async def find_history(
    connection: AsyncConnection,
    *,
    caller: Caller,
    uuid: str,
    filters: FilterSet,
    time_range: TimeRange,
) -> InvoiceHistory:
    """Count the entries of an invoice in two statements; raises InvoiceNotFound."""
    invoice = await find_visible_invoice(connection, caller=caller, uuid=uuid, filters=filters)
    count = await queries.count_entries(connection, invoice.uuid, time_range)
    return InvoiceHistory(invoice.uuid, time_range, count)


async def find_version_at(
    connection: AsyncConnection, *, caller: Caller, uuid: str, filters: FilterSet, time: datetime
) -> tuple[UUID, RowMapping]:
    """Return an invoice and its last entry up to a time, by two statements.

    Raises InvoiceNotFound, and VersionNotFound if the invoice has no entry yet at that time.
    """
    invoice = await find_visible_invoice(connection, caller=caller, uuid=uuid, filters=filters)
    entries = await queries.list_entries(connection, invoice.uuid, TimeRange(before=time))
    if not entries:
        raise VersionNotFound
    return invoice.uuid, entries[0]
