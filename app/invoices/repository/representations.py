"""The statements on the stored representations of frozen documents."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple, Self

from sqlalchemy import (
    BigInteger,
    RowMapping,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.models import Invoice, InvoiceDocument, LinesRepresentation
from app.invoices.repository.item_sources import is_present_document

FORM: Final = "form"
"""The parameter of `is_first_part`."""
_version: Final = func.coalesce(InvoiceDocument.completed_version, InvoiceDocument.lines_version)
"""The version of a document since which it is shown in the same way."""
_is_of_document: Final = and_(
    LinesRepresentation.invoice_id == Invoice.id,
    LinesRepresentation.lines_version == _version,
    LinesRepresentation.form == bindparam(FORM, type_=Text()),
)
is_first_part: Final = and_(_is_of_document, LinesRepresentation.part == 0)
"""The condition that a row is the first part of the present lines of an invoice, in a form."""
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
    head: bytes | None = None
    """The other fields, where the first part is stored; see `LinesRepresentation`."""

    @classmethod
    def of(cls, row: RowMapping) -> Self | None:
        """Return the part in a row with the columns of the field `STORED_LINES`, if it has one."""
        return None if row["body"] is None else cls(row["body"], row["is_last"])


class UnrepresentedInvoice(NamedTuple):
    """A frozen invoice without a stored representation."""

    id: int
    number: int
    lines_version: int
    tax_percent: Decimal


class NewPart(NamedTuple):
    """A part that is to be stored."""

    invoice: UnrepresentedInvoice
    number: int
    head: bytes | None
    """As in `StoredPart`."""
    body: bytes
    is_last: bool


async def find_first_part(
    connection: AsyncConnection, invoice_id: int, form: str
) -> StoredPart | None:
    """Return the first part; None if the invoice has no stored representation of this form."""
    values = {"invoice_id": invoice_id, "form": form, "part": 0}
    row = (await connection.execute(_READ, values)).one_or_none()
    return None if row is None else StoredPart(row.body, row.is_last)


async def read_part(
    connection: AsyncConnection, invoice_id: int, form: str, part: int
) -> StoredPart:
    """Return the part of this number, which the invoice has."""
    values = {"invoice_id": invoice_id, "form": form, "part": part}
    row = (await connection.execute(_READ, values)).one()
    return StoredPart(row.body, row.is_last)


async def find_unrepresented(
    connection: AsyncConnection, form: str, *, after: int, limit: int
) -> list[UnrepresentedInvoice]:
    """Return the next frozen invoices, by id, without a representation of a form."""
    values = {"form": form, "after": after, "limit": limit}
    rows = await connection.execute(_FIND, values)
    return [UnrepresentedInvoice(*row) for row in rows]


async def count_unrepresented(connection: AsyncConnection, form: str) -> int:
    """Return the number of frozen invoices without a representation of a form."""
    rows = await connection.execute(_COUNT, {"form": form})
    return rows.scalar_one()


async def store_parts(connection: AsyncConnection, form: str, parts: Sequence[NewPart]) -> None:
    """Store parts, except those that another process stored."""
    rows = [
        {
            "invoice_id": part.invoice.id,
            "lines_version": part.invoice.lines_version,
            "form": form,
            "part": part.number,
            "is_last": part.is_last,
            "head": part.head,
            "body": part.body,
        }
        for part in parts
    ]
    if rows:
        await connection.execute(_STORE, rows)


async def delete_other_forms(connection: AsyncConnection, form: str, limit: int) -> int:
    """Delete representations of other forms, which an earlier release or setting made."""
    others = select(*_KEY).where(LinesRepresentation.form != form).limit(limit)
    statement = delete(LinesRepresentation).where(_KEY.in_(others))
    return (await connection.execute(statement)).rowcount


_READ: Final = (
    select(LinesRepresentation.body, LinesRepresentation.is_last)
    .select_from(Invoice)
    .join(InvoiceDocument, is_present_document)
    .join(
        LinesRepresentation,
        and_(_is_of_document, LinesRepresentation.part == bindparam("part")),
    )
    .where(Invoice.id == bindparam("invoice_id", type_=BigInteger()))
)
_UNREPRESENTED: Final = (
    select(Invoice.id, Invoice.number, _version, Invoice.tax_percent)
    .join(InvoiceDocument, is_present_document)
    .where(~exists().where(is_first_part))
)
_FIND: Final = (
    _UNREPRESENTED.where(Invoice.id > bindparam("after", type_=BigInteger()))
    .order_by(Invoice.id)
    .limit(bindparam("limit"))
)
_COUNT: Final = _UNREPRESENTED.with_only_columns(func.count(), maintain_column_froms=True)
_STORE: Final = insert(LinesRepresentation).on_conflict_do_nothing()
