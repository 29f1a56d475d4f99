"""Invoices as JSON, from their rows: the fields besides the items, and one whole invoice."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.response_format import ResponseFormat
from app.billing import money
from app.billing.enums import InvoiceState
from app.customers.countries import country_name
from app.invoices.queries.items import select_items
from app.invoices.rendering.items import json_array, render_batches
from app.invoices.repository.columns import FROZEN_CUSTOMER, FROZEN_ISSUER
from app.invoices.repository.reads import read_head
from app.invoices.schemas import (
    INVOICE_FIELDS,
    CustomerDetails,
    InvoiceStateEnum,
    Row,
    encode_invoice,
)
from app.settings import Settings


async def render_invoice(
    connection: AsyncConnection,
    invoice_id: int,
    settings: Settings,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield the document of an invoice in parts, without the cache.

    It shows the uncommitted state of the connection's transaction.
    """
    head = await read_head(connection, invoice_id, INVOICE_FIELDS)
    is_frozen = head["document_version"] is not None
    statement = select_items(live=not is_frozen, frozen=is_frozen)
    result = await connection.stream(statement, {"invoices": [invoice_id]})
    items = render_batches(result.mappings().partitions(), head["tax_percent"], response_format)
    before, after = around_items(head, INVOICE_FIELDS, settings, response_format)
    async with aclosing(json_array(items, before, after)) as parts:
        async for part in parts:
            yield part


def around_items(
    head: RowMapping,
    fields: tuple[str, ...],
    settings: Settings,
    response_format: ResponseFormat,
) -> tuple[bytes, bytes]:
    """Return the JSON of an invoice before the array of its items, and after it."""
    position = fields.index("items")
    before, after = (
        encode_invoice(invoice_row(head, names, settings), context=response_format.links)[1:-1]
        for names in (fields[:position], fields[position + 1 :])
    )
    prefix = b"{" + before + (b"," if before else b"") + b'"items":'
    return prefix, (b"," if after else b"") + after + b"}"


def invoice_row(row: RowMapping, fields: Sequence[str], settings: Settings) -> Row:
    """Return the fields of an invoice, without its items. A due date that is null is left out."""
    result: Row = {}
    for field in fields:
        if field in _DERIVED:
            result[field] = _DERIVED[field](row, settings)
        elif field != "items" and not (field == "due_date" and row[field] is None):
            result[field] = row[field]
    return result


def _issuer_details(row: RowMapping, settings: Settings) -> Row:
    frozen: str | None = row[FROZEN_ISSUER]
    if frozen is None:
        return settings.issuer_details.model_dump()
    details: Row = from_json(frozen)
    return details


def _customer_details(row: RowMapping, settings: Settings) -> Row:
    frozen: Row | None = row[FROZEN_CUSTOMER]
    if frozen is not None:
        return {name: frozen[name] for name in CustomerDetails.__annotations__}
    return {
        name: country_name(row["country"], settings.locale) if name == "country_name" else row[name]
        for name in CustomerDetails.__annotations__
    }


def shown_state(state: str, *, has_grace_period: bool) -> InvoiceState:
    """Return the state that clients see: without a grace period none waits for its end.

    Such an invoice is left over from a deployment that had one, until the next close of the month.
    """
    waits = state == InvoiceState.PENDING_FINALIZATION and not has_grace_period
    return InvoiceState.PENDING if waits else InvoiceState(state)


_DERIVED: Final[dict[str, Callable[[RowMapping, Settings], Any]]] = {
    "url": lambda row, _: row["uuid"],
    "price": lambda row, _: row["total_price"],
    "tax": lambda row, _: money.tax_on(row["total_price"], row["tax_percent"]),
    "total": lambda row, _: money.with_tax(row["total_price"], row["tax_percent"]),
    "state": lambda row, settings: InvoiceStateEnum(
        shown_state(row["state"], has_grace_period=settings.finalization_grace_hours > 0)
    ),
    "issuer_details": _issuer_details,
    "customer_details": _customer_details,
}
"""The fields that are not the column with their name."""
