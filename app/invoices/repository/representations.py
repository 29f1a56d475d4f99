"""The statements on the stored representations of frozen lines."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Text,
    and_,
    any_,
    bindparam,
    delete,
    exists,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.models import Invoice, InvoiceDocument, LinesRepresentation
from app.invoices.repository.item_sources import is_present_document

_is_of_document: Final = and_(
    LinesRepresentation.invoice_id == Invoice.id,
    LinesRepresentation.lines_version == InvoiceDocument.lines_version,
    LinesRepresentation.form == bindparam("form", type_=Text()),
)
_KEY: Final = tuple_(
    LinesRepresentation.invoice_id,
    LinesRepresentation.lines_version,
    LinesRepresentation.form,
    LinesRepresentation.part,
)


class StoredPart(NamedTuple):
    """A part of the lines of an invoice."""

    body: bytes
    is_last: bool


class UnrepresentedInvoice(NamedTuple):
    """A frozen invoice whose lines have no stored representation."""

    id: int
    number: int
    lines_version: int
    tax_percent: Decimal


async def read_parts(
    connection: AsyncConnection, invoices: Sequence[int], form: str, part: int = 0
) -> dict[int, StoredPart]:
    """Return the part of this number of those invoices that have it, by the invoices' keys."""
    values = {"invoices": list(invoices), "form": form, "part": part}
    rows = (await connection.execute(_READ, values)).all()
    return {row.id: StoredPart(row.body, row.is_last) for row in rows}


async def find_unrepresented(
    connection: AsyncConnection, form: str, *, after: int, limit: int
) -> list[UnrepresentedInvoice]:
    """Return the next frozen invoices, by id, without a representation of a form."""
    values = {"form": form, "after": after, "limit": limit}
    rows = await connection.execute(_FIND, values)
    return [UnrepresentedInvoice(*row) for row in rows]


async def store_part(
    connection: AsyncConnection,
    invoice: UnrepresentedInvoice,
    form: str,
    number: int,
    part: StoredPart,
) -> None:
    """Store a part, unless another process did so."""
    await connection.execute(
        insert(LinesRepresentation)
        .values(
            invoice_id=invoice.id,
            lines_version=invoice.lines_version,
            form=form,
            part=number,
            is_last=part.is_last,
            body=part.body,
        )
        .on_conflict_do_nothing()
    )


async def delete_other_forms(connection: AsyncConnection, form: str, limit: int) -> int:
    """Delete representations of other forms, which an earlier release or setting made."""
    others = select(*_KEY).where(LinesRepresentation.form != form).limit(limit)
    statement = delete(LinesRepresentation).where(_KEY.in_(others))
    return (await connection.execute(statement)).rowcount


_READ: Final = (
    select(Invoice.id, LinesRepresentation.body, LinesRepresentation.is_last)
    .join(InvoiceDocument, is_present_document)
    .join(
        LinesRepresentation,
        and_(_is_of_document, LinesRepresentation.part == bindparam("part")),
    )
    .where(Invoice.id == any_(bindparam("invoices", type_=ARRAY(BigInteger))))
)
_FIND: Final = (
    select(Invoice.id, Invoice.number, InvoiceDocument.lines_version, Invoice.tax_percent)
    .join(InvoiceDocument, is_present_document)
    .where(
        Invoice.id > bindparam("after", type_=BigInteger()),
        ~exists().where(_is_of_document, LinesRepresentation.part == 0),
    )
    .order_by(Invoice.id)
    .limit(bindparam("limit"))
)
