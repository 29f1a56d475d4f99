"""The statements that freeze issued invoices: they write their documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    FromClause,
    Select,
    Text,
    any_,
    bindparam,
    case,
    cast,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.customers.models import Customer
from app.database.large_statements import raise_work_memory
from app.database.statements import UTC, constant, json_object
from app.documents.document import DocumentKind
from app.invoices.models import UNFROZEN, DocumentLines, Invoice, InvoiceDocument
from app.invoices.repository.document_lines import select_batches, select_given, text_bytes
from app.invoices.repository.document_parties import values_of_parties
from app.invoices.repository.imports import IMPORT_IN_PROGRESS
from app.invoices.repository.prepared_lines import PREPARED_LINES, prepared_lines

_ADDRESS: Final = (
    "name",
    "address",
    "country",
    "email",
    "postal",
    "phone_number",
    "bank_name",
    "bank_account",
    "vat_code",
)
"""The keys of `customer_details` in the API, besides the name of the country."""
_MANY: Final = 100
"""Invoices whose lines may be more than PostgreSQL sorts in memory by default."""
_NO_BYTES: Final[ColumnElement[bytes]] = literal_column("''::bytea")


@dataclass(frozen=True, slots=True)
class Issuer:
    """The values of a document that are not in the database."""

    currency: str
    """A code of ISO 4217."""
    language: str
    """The tag of the language for customers without one."""
    note: str
    seller: dict[str, str]
    """The keys of `app.documents.document.Party`."""
    details: str
    """The `issuer_details` of the API, as JSON: `jsonb` would not keep the order of the keys."""
    country_names: dict[str, str]
    """The names of countries by code, for the API."""


class UnfrozenInvoice(NamedTuple):
    """An issued invoice without a document."""

    id: int
    number: int


async def freeze_invoices(
    connection: AsyncConnection, invoice_ids: Sequence[int], issuer: Issuer, *, is_late: bool
) -> int:
    """Write the documents of those invoices that were issued and have none; return how many.

    One statement for any number of invoices, which the transaction must have locked before.
    `is_late` says that they were issued earlier: a tax category of today that does not belong to
    the tax that was charged is left out.
    """
    if len(invoice_ids) >= _MANY:
        await raise_work_memory(connection)
    values = _values(issuer, is_late=is_late) | {"invoices": list(invoice_ids)}
    return len((await connection.execute(_freeze(), values)).all())


async def freeze_many(
    connection: AsyncConnection, invoice_ids: Sequence[int], issuer: Issuer
) -> int:
    """Write the documents of invoices that were issued earlier, as `freeze_invoices` does.

    Two processes of PostgreSQL make the lines. Call `allow_parallel_processes` before.
    """
    async with prepared_lines(connection, invoice_ids):
        written = await connection.execute(_freeze_prepared(), _values(issuer, is_late=True))
        return len(written.all())


def _values(issuer: Issuer, *, is_late: bool) -> dict[str, Any]:
    return {
        "is_late": is_late,
        "currency": issuer.currency,
        "language": issuer.language,
        "note": issuer.note,
        "seller": issuer.seller,
        "issuer_details": issuer.details,
        "country_names": issuer.country_names,
    }


async def find_unfrozen(
    connection: AsyncConnection, *, after: int, limit: int
) -> Sequence[UnfrozenInvoice]:
    """Return the next issued invoices, by id, without a document."""
    statement = _unfrozen().where(Invoice.id > after).limit(limit)
    return [UnfrozenInvoice(*row) for row in await connection.execute(statement)]


async def lock_unfrozen(connection: AsyncConnection, invoice_ids: Sequence[int]) -> Sequence[int]:
    """Lock those of the invoices that still have no document, and return their ids.

    A later statement sees the items of all changes that the locks have waited for.
    """
    return await _lock(connection, _unfrozen().where(Invoice.id.in_(invoice_ids)))


async def find_unfrozen_of_import(
    connection: AsyncConnection, uuids: Select[tuple[UUID]] | None, *, after: int, limit: int
) -> Sequence[int]:
    """Return the next of those that have one of the UUIDs, or had a document before; lock them."""
    had_one = exists().where(InvoiceDocument.invoice_id == Invoice.id)
    condition = had_one if uuids is None else or_(had_one, Invoice.uuid.in_(uuids))
    statement = _unfrozen().where(Invoice.id > after, condition).limit(limit)
    return await _lock(connection, statement)


def _unfrozen() -> Select[int, int]:
    return select(Invoice.id, Invoice.number).where(UNFROZEN).order_by(Invoice.id)


async def _lock(connection: AsyncConnection, unfrozen: Select[int, int]) -> Sequence[int]:
    rows = await connection.execute(unfrozen.with_for_update(key_share=True, of=Invoice))
    return [row.id for row in rows]


async def count_unfrozen(connection: AsyncConnection, limit: int | None = None) -> int:
    """Return the number of issued invoices without a document, at most `limit` if that is given."""
    unfrozen = select(Invoice.id).where(UNFROZEN).limit(limit).subquery()
    return (await connection.execute(select(func.count()).select_from(unfrozen))).scalar_one()


async def replace_documents(connection: AsyncConnection) -> None:
    """Let the transaction change issued invoices, which then lose their documents.

    The record of changes has each. Freeze these invoices before the transaction ends.
    """
    await connection.execute(select(func.set_config("invoicing.replaces_documents", "on", true())))


def _digits(amount: Any) -> ColumnElement[str]:
    return cast(func.coalesce(amount, 0), Text)


def _iso(day: Any) -> ColumnElement[str]:
    return func.to_char(day, constant("YYYY-MM-DD"))


def _day(time: Any) -> ColumnElement[Any]:
    return cast(func.timezone(UTC, time), Date)


@cache
def _freeze() -> ReturningUpdate[Any]:
    given = select_given(_is_given).order_by(Invoice.id).with_for_update(key_share=True, of=Invoice)
    return _write(select_batches(given.cte("given"), _is_given).cte("lines"))


@cache
def _freeze_prepared() -> ReturningUpdate[Any]:
    return _write(PREPARED_LINES)


def _write(lines: FromClause) -> ReturningUpdate[Any]:
    """Write the lines, then the documents with the digests of the lines, then name them.

    Each step finds the rows of the one before by a key: PostgreSQL underestimates the number of
    invoices, and would compare each row of one step with all of another.
    """
    columns = ["invoice_id", "version", "first_item_id", "content", "digest"]
    stored = (
        insert(DocumentLines)
        .from_select(
            columns,
            select(*(lines.c[name] for name in columns)).where(lines.c.first_item_id.is_not(None)),
        )
        .cte("stored")
    )
    sums = _sums(lines)
    head = (
        select(sums.c.invoice_id, sums.c.version, sums.c.digests, _head(sums).label("content"))
        .join(Invoice, Invoice.id == sums.c.invoice_id)
        .join(Customer, Customer.id == Invoice.customer_id)
        # The content is used twice.
        .cte("head")
        .prefix_with("MATERIALIZED")
    )
    written = (
        insert(InvoiceDocument)
        .from_select(
            ["invoice_id", "version", "lines_version", "content", "digest"],
            select(
                head.c.invoice_id,
                head.c.version,
                head.c.version,
                head.c.content,
                func.sha256(
                    text_bytes(head.c.content).op("||")(func.coalesce(head.c.digests, _NO_BYTES))
                ),
            ),
        )
        .returning(InvoiceDocument.invoice_id, InvoiceDocument.version)
        .cte("written")
    )
    return (
        update(Invoice)
        .where(Invoice.id == written.c.invoice_id)
        .values(
            document_version=written.c.version,
            # An import that inserted the invoice need not update it once more.
            imported_revision=case(
                (Invoice.imported_revision == IMPORT_IN_PROGRESS, Invoice.revision),
                else_=Invoice.imported_revision,
            ),
        )
        .returning(Invoice.id)
        .add_cte(stored)
    )


def _is_given(invoice_id: Any) -> ColumnElement[bool]:
    is_given: ColumnElement[bool] = invoice_id == any_(
        bindparam("invoices", type_=ARRAY(BigInteger))
    )
    return is_given


def _sums(lines: FromClause) -> CTE:
    """Add up the sums of the batches of each invoice, and join their digests."""
    added = ("items", "hidden_items", "hidden_cost", "compensations", "provider_tax")
    separated = aggregate_order_by(_NO_BYTES, lines.c.first_item_id.asc())
    return (
        select(
            lines.c.invoice_id,
            lines.c.version,
            func.string_agg(lines.c.digest, separated).label("digests"),
            *(func.sum(lines.c[name]).label(name) for name in added),
            func.min(lines.c.start).label("start"),
            func.max(lines.c.end).label("end"),
        )
        .group_by(lines.c.invoice_id, lines.c.version)
        .cte("sums")
    )


def _head(sums: FromClause) -> ColumnElement[Any]:
    """Return the content of the document of an invoice, joined with its customer and sums."""
    invoice, total = Invoice.__table__.c, sums.c
    first = func.make_date(invoice.year, invoice.month, 1)
    last = cast(first + text("interval '1 month - 1 day'"), Date)
    customer = Customer.__table__.c
    address = {name: customer[name] for name in _ADDRESS}
    country_name = bindparam("country_names", type_=JSONB).op("->>")(func.upper(Customer.country))
    return json_object(
        {
            "kind": constant(DocumentKind.INVOICE.value),
            "uuid": invoice.uuid,
            "number": invoice.number,
            # An import may bring an issued invoice without a date.
            "issue_date": _iso(func.coalesce(invoice.invoice_date, invoice.created)),
            "due_date": _iso(invoice.due_date),
            "year": invoice.year,
            "month": invoice.month,
            "period_start": _iso(func.least(first, _day(total.start))),
            "period_end": _iso(func.greatest(last, _day(total.end))),
            "currency": bindparam("currency", type_=Text()),
            "tax_percent": _digits(invoice.tax_percent),
            "language": func.coalesce(
                func.nullif(Customer.language, constant("")), bindparam("language", type_=Text())
            ),
            "note": bindparam("note", type_=Text()),
            "payment_url": invoice.payment_url,
            "reference_number": invoice.reference_number,
            "net": _digits(invoice.total_price),
            "gross": _digits(invoice.total_cost),
            "compensations": _digits(total.compensations),
            "provider_tax": cast(total.provider_tax, Text),
            "items": func.coalesce(total["items"], 0),
            "hidden_items": func.coalesce(total.hidden_items, 0),
            "hidden_cost": _digits(total.hidden_cost),
            **values_of_parties(invoice.tax_percent, bindparam("is_late", type_=Boolean())),
            "api": json_object(
                {
                    "customer": Customer.uuid,
                    "issuer_details": bindparam("issuer_details", type_=Text()),
                    "customer_details": json_object(address | {"country_name": country_name}),
                    "incurred_costs": _digits(invoice.incurred_costs),
                    "compensations": _digits(invoice.compensations),
                }
            ),
        }
    )
