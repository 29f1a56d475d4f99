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
    and_,
    any_,
    bindparam,
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
from app.database.statements import constant, json_object
from app.documents.document import DocumentKind
from app.invoices.models import UNFROZEN, DocumentLines, Invoice, InvoiceDocument
from app.invoices.repository.document_parties import values_of_parties
from app.invoices.repository.item_sources import LIVE, is_provider_tax, is_shown_in, item_order

LINES: Final = 100
"""The lines of a row of `document_lines`."""

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
_UTC: Final[ColumnElement[str]] = literal_column("'UTC'")
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
    values = {
        "invoices": list(invoice_ids),
        "is_late": is_late,
        "currency": issuer.currency,
        "language": issuer.language,
        "note": issuer.note,
        "seller": issuer.seller,
        "issuer_details": issuer.details,
        "country_names": issuer.country_names,
    }
    return len((await connection.execute(_freeze(), values)).all())


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


def _text_bytes(value: ColumnElement[Any]) -> ColumnElement[bytes]:
    return func.convert_to(cast(value, Text), constant("UTF8"))


def _digits(amount: Any) -> ColumnElement[str]:
    return cast(func.coalesce(amount, 0), Text)


def _iso(day: Any) -> ColumnElement[str]:
    return func.to_char(day, constant("YYYY-MM-DD"))


def _day(time: Any) -> ColumnElement[Any]:
    return cast(func.timezone(_UTC, time), Date)


@cache
def _freeze() -> ReturningUpdate[Any]:
    """Write the lines, then the documents with the digests of the lines, then name them.

    Each step finds the rows of the one before by a key: PostgreSQL underestimates the number of
    invoices, and would compare each row of one step with all of another.
    """
    last_version = (
        select(func.coalesce(func.max(InvoiceDocument.version), 0))
        .where(InvoiceDocument.invoice_id == Invoice.id)
        .scalar_subquery()
    )
    given = (
        select(Invoice.id, (last_version + 1).label("version"))
        .where(_is_given(Invoice.id), UNFROZEN)
        .order_by(Invoice.id)
        .with_for_update(key_share=True)
        .cte("given")
    )
    batches = _batches(given)
    digest = func.sha256(_text_bytes(batches.c.content)).label("digest")
    lines = select(batches, digest).cte("lines")
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
                    _text_bytes(head.c.content).op("||")(func.coalesce(head.c.digests, _NO_BYTES))
                ),
            ),
        )
        .returning(InvoiceDocument.invoice_id, InvoiceDocument.version)
        .cte("written")
    )
    return (
        update(Invoice)
        .where(Invoice.id == written.c.invoice_id)
        .values(document_version=written.c.version)
        .returning(Invoice.id)
        .add_cte(stored)
    )


def _is_given(invoice_id: Any) -> ColumnElement[bool]:
    is_given: ColumnElement[bool] = invoice_id == any_(
        bindparam("invoices", type_=ARRAY(BigInteger))
    )
    return is_given


def _batches(given: CTE) -> CTE:
    """Select the lines of the given invoices in batches, with the sums of each batch.

    An invoice without lines has one batch without content.
    """
    item = (
        select(
            given.c.id.label("given_id"),
            given.c.version,
            *LIVE.c,
            is_provider_tax(LIVE).label("is_provider_tax"),
        )
        .select_from(given)
        # With the second condition PostgreSQL reads these items alone. It may join `given` last,
        # because the items have more joins than its join_collapse_limit.
        .outerjoin(LIVE, and_(LIVE.c.invoice_id == given.c.id, _is_given(LIVE.c.invoice_id)))
        .subquery("given_item")
    )
    position = func.row_number().over(partition_by=item.c.given_id, order_by=item_order(item))
    place = func.row_number().over(partition_by=item.c.given_id, order_by=item.c.id)
    numbered = select(
        *item.c, position.label("position"), ((place - 1) // LINES).label("batch")
    ).subquery("line")
    line, shown = numbered.c, is_shown_in(numbered)
    content = func.jsonb_object_agg(cast(line.id, Text), _line(numbered))
    return (
        select(
            line.given_id.label("invoice_id"),
            line.version,
            func.min(line.id).label("first_item_id"),
            content.filter(line.id.is_not(None)).label("content"),
            func.count().filter(shown).label("items"),
            func.count().filter(~shown).label("hidden_items"),
            func.sum(line.unit_price * line.quantity).filter(~shown).label("hidden_cost"),
            func.sum(line.price).filter(line.credit).label("compensations"),
            func.sum(line.price).filter(line.is_provider_tax).label("provider_tax"),
            func.min(line.start).filter(shown).label("start"),
            func.max(line.end).filter(shown).label("end"),
        )
        .group_by(line.given_id, line.version, line.batch)
        .cte("batches")
    )


def _line(item: FromClause) -> ColumnElement[Any]:
    """Return the frozen values of an item: amounts are texts of digits, times are in UTC."""
    column, details = item.c, item.c.details
    values: dict[str, ColumnElement[Any]] = {name: column[name] for name, _ in LIVE.c.items()}
    del values["id"], values["invoice_id"]
    values |= {name: cast(column[name], Text) for name in ("price", "unit_price", "quantity")}
    for name in ("start", "end"):
        time = func.timezone(_UTC, column[name])
        values[name] = func.to_char(time, constant('YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    return json_object(
        values
        | {
            "position": column.position,
            "is_provider_tax": column.is_provider_tax,
            "resource_name": func.coalesce(column.resource_name, details["resource_name"].astext),
            "offering_name": func.coalesce(column.offering_name, details["offering_name"].astext),
            "plan_name": func.coalesce(details["plan_name"].astext, column.plan_name),
        }
    )


def _sums(lines: CTE) -> CTE:
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
