"""The sums that credit notes gave back, with which an import compares a restated bill."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.credit_notes.models import CreditNote
from app.database.statements import equals_any
from app.invoices.models import Invoice


class CreditedPart(NamedTuple):
    """The part of a line of an invoice that its credit notes gave back, without tax."""

    price: Decimal
    restated: Decimal
    """The part by credit notes that imports of restated bills made."""


class CreditNoteSummary(NamedTuple):
    """The number and the sums of a credit note."""

    number: int
    net: Decimal
    gross: Decimal
    """With tax."""
    invoice_number: int


async def find_summary(connection: AsyncConnection, uuid: UUID) -> CreditNoteSummary:
    """Return the number and the sums of an existing credit note."""
    statement = (
        select(CreditNote.number, CreditNote.net, CreditNote.gross, Invoice.number)
        .join(Invoice, Invoice.id == CreditNote.invoice_id)
        .where(CreditNote.uuid == uuid)
    )
    return CreditNoteSummary(*(await connection.execute(statement)).one())


async def find_credited_parts(
    connection: AsyncConnection, invoice_ids: Collection[int]
) -> Mapping[UUID, CreditedPart]:
    """Return the parts of the invoices' lines that were given back, by the UUIDs of the lines."""
    rows = await connection.execute(_CREDITED_PARTS, {"invoices": list(invoice_ids)})
    return {row.uuid: CreditedPart(row.price, row.restated) for row in rows}


async def sum_credit_notes(
    connection: AsyncConnection, invoice_ids: Collection[int]
) -> Mapping[int, Decimal]:
    """Return the sums without tax of the credit notes of those invoices that have some."""
    statement = (
        select(CreditNote.invoice_id, func.sum(CreditNote.net).label("net"))
        .where(equals_any(CreditNote.invoice_id, invoice_ids))
        .group_by(CreditNote.invoice_id)
    )
    return {row.invoice_id: row.net for row in await connection.execute(statement)}


async def count_credit_notes(connection: AsyncConnection) -> int:
    """Return the number of all credit notes: the last one's, since they have no gaps."""
    last = select(func.coalesce(func.max(CreditNote.number), 0))
    return (await connection.execute(last)).scalar_one()


async def find_last_source(connection: AsyncConnection, invoice_id: int) -> str | None:
    """Return the source of an invoice's last credit note; None without a source or a note."""
    statement = (
        select(CreditNote.content["source"].astext)
        .where(CreditNote.invoice_id == invoice_id)
        .order_by(CreditNote.number.desc())
        .limit(1)
    )
    return (await connection.execute(statement)).scalar_one_or_none()


_CREDITED_PARTS: Final = text("""
SELECT line.uuid, sum(line.price) AS price,
       coalesce(sum(line.price) FILTER (WHERE n.content ? 'source'), 0) AS restated
FROM credit_notes AS n
JOIN credit_note_lines AS batch ON batch.credit_note_id = n.id
CROSS JOIN LATERAL jsonb_each(batch.content) AS item
CROSS JOIN LATERAL jsonb_to_record(item.value) AS line (uuid uuid, price numeric)
WHERE n.invoice_id = ANY (CAST(:invoices AS bigint[]))
GROUP BY line.uuid
""")
