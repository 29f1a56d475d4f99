"""The statements that complete frozen documents: they add a version with values filled in."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Text,
    any_,
    bindparam,
    cast,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.database.statements import json_object
from app.invoices.models import UNFROZEN, Invoice, InvoiceDocument
from app.invoices.repository.document_parties import values_of_parties
from app.invoices.repository.item_sources import is_present_document


class KnownDocument(NamedTuple):
    """A frozen document, and the present values of its parties."""

    invoice_id: int
    number: int
    version: int
    content: dict[str, Any]
    known: dict[str, Any]
    """The keys of the content that customer and settings have."""


async def lock_issued(connection: AsyncConnection, invoice_ids: Sequence[int]) -> Sequence[int]:
    """Lock those of the invoices that were issued, and return their ids."""
    rows = await connection.execute(_LOCK, {"invoices": list(invoice_ids)})
    return rows.scalars().all()


async def read_known(
    connection: AsyncConnection, invoice_ids: Sequence[int], seller: dict[str, str]
) -> Sequence[KnownDocument]:
    """Return the present documents of invoices, by number; the seller is that of today."""
    values = {"invoices": list(invoice_ids), "seller": seller}
    rows = await connection.execute(_READ, values)
    return [
        KnownDocument(row.id, row.number, row.version, from_json(row.content), from_json(row.known))
        for row in rows
    ]


async def add_version(
    connection: AsyncConnection, document: KnownDocument, content: dict[str, Any]
) -> None:
    """Add a version of a document, which becomes the present one.

    The database refuses one that differs in more than values that were empty.
    """
    values = {
        "invoice": document.invoice_id,
        "version": document.version,
        "content": to_json(content).decode(),
    }
    await connection.execute(_ADD, values)
    await connection.execute(
        update(Invoice)
        .where(Invoice.id == document.invoice_id)
        .values(document_version=document.version + 1)
    )


_is_given: Final = Invoice.id == any_(bindparam("invoices", type_=ARRAY(BigInteger)))
_LOCK: Final = (
    select(Invoice.id)
    .where(_is_given, or_(Invoice.document_version.is_not(None), UNFROZEN))
    .order_by(Invoice.id)
    .with_for_update(key_share=True)
)
_READ: Final = (
    select(
        Invoice.id,
        Invoice.number,
        InvoiceDocument.version,
        cast(InvoiceDocument.content, Text).label("content"),
        cast(json_object(values_of_parties(Invoice.__table__.c.tax_percent, true())), Text).label(
            "known"
        ),
    )
    .join(InvoiceDocument, is_present_document)
    .join(Customer, Customer.id == Invoice.customer_id)
    .where(_is_given)
    .order_by(Invoice.number)
)
_ADD: Final = text("SELECT add_document_version(:invoice, :version, CAST(:content AS jsonb))")
