"""The lines of frozen documents, as they are stored."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    cast,
    column,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from app.database.statements import UTC, constant, json_text_object
from app.invoices.models import UNFROZEN, Invoice, InvoiceDocument
from app.invoices.repository.item_sources import LIVE, is_provider_tax, is_shown_in, item_order

IsGiven = Callable[[Any], ColumnElement[bool]]
"""Returns the condition that the id of an invoice is one of the given ones."""
LINES: Final = 100
"""The lines of a row of `document_lines`."""


def text_bytes(value: ColumnElement[Any]) -> ColumnElement[bytes]:
    """Return the bytes of the text of a value, for a digest."""
    return func.convert_to(cast(value, Text), constant("UTF8"))


def select_given(is_given: IsGiven) -> Select[Any]:
    """Select the given invoices that have no document, with the version of their next one."""
    last = (
        select(InvoiceDocument.invoice_id, func.max(InvoiceDocument.version).label("last_version"))
        .where(is_given(InvoiceDocument.invoice_id))
        .group_by(InvoiceDocument.invoice_id)
        .subquery("last")
    )
    version = func.coalesce(last.c.last_version, 0) + 1
    return (
        select(Invoice.id, version.label("version"))
        .outerjoin(last, last.c.invoice_id == Invoice.id)
        .where(is_given(Invoice.id), UNFROZEN)
    )


def select_batches(given: FromClause, is_given: IsGiven) -> Select[Any]:
    """Select the lines of the given invoices in batches, with the sums and digest of each batch.

    `given` has their `id` and `version`. An invoice without lines has one batch without content.
    """
    ordered = _select_orders(is_given).subquery("ordered")
    place = (
        func.unnest(ordered.c.in_order)
        .table_valued(column("id", BigInteger), with_ordinality="position")
        .render_derived(name="place")
        .lateral("place")
    )
    source = (
        given.outerjoin(ordered, ordered.c.invoice_id == given.c.id)
        .outerjoin(place, true())
        # With the second condition PostgreSQL reads these items alone.
        .outerjoin(LIVE, and_(LIVE.c.id == place.c.id, is_given(LIVE.c.invoice_id)))
    )
    rank = func.width_bucket(LIVE.c.id, ordered.c.by_key)
    numbered = (
        select(
            given.c.id.label("given_id"),
            given.c.version,
            *LIVE.c,
            is_provider_tax(LIVE).label("is_provider_tax"),
            place.c.position,
            ((rank - 1) // LINES).label("batch"),
        )
        .select_from(source)
        .subquery("line")
    )
    line, shown = numbered.c, is_shown_in(numbered)
    # PostgreSQL parses one text in less time than it joins many parsed objects.
    content = func.json_object_agg(cast(line.id, Text), _line(numbered))
    batches = (
        select(
            line.given_id.label("invoice_id"),
            line.version,
            func.min(line.id).label("first_item_id"),
            cast(content.filter(line.id.is_not(None)), JSONB).label("content"),
            func.count().filter(shown).label("items"),
            func.count().filter(~shown).label("hidden_items"),
            func.sum(line.unit_price * line.quantity).filter(~shown).label("hidden_cost"),
            func.sum(line.price).filter(line.credit).label("compensations"),
            func.sum(line.price).filter(line.is_provider_tax).label("provider_tax"),
            func.min(line.start).filter(shown).label("start"),
            func.max(line.end).filter(shown).label("end"),
        )
        .group_by(line.given_id, line.version, line.batch)
        .subquery("batches")
    )
    return select(batches, func.sha256(text_bytes(batches.c.content)).label("digest"))


def _select_orders(is_given: IsGiven) -> Select[Any]:
    """Select the keys of the items of each given invoice: in the API's order, and sorted.

    Window functions would sort whole items, and keep PostgreSQL to one process.
    """
    item = LIVE.alias("ordered_item")
    key = item.c.id
    return (
        select(
            item.c.invoice_id,
            func.array_agg(aggregate_order_by(key, *item_order(item))).label("in_order"),
            func.array_agg(aggregate_order_by(key, key)).label("by_key"),
        )
        .where(is_given(item.c.invoice_id))
        .group_by(item.c.invoice_id)
    )


def _line(item: FromClause) -> ColumnElement[Any]:
    """Return the frozen values of an item: amounts are texts of digits, times are in UTC."""
    columns, details = item.c, item.c.details
    values: dict[str, ColumnElement[Any]] = {name: columns[name] for name, _ in LIVE.c.items()}
    del values["id"], values["invoice_id"]
    values |= {name: cast(columns[name], Text) for name in ("price", "unit_price", "quantity")}
    for name in ("start", "end"):
        time = func.timezone(UTC, columns[name])
        values[name] = func.to_char(time, constant('YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    return json_text_object(
        values
        | {
            "position": columns.position,
            "is_provider_tax": columns.is_provider_tax,
            "resource_name": func.coalesce(columns.resource_name, details["resource_name"].astext),
            "offering_name": func.coalesce(columns.offering_name, details["offering_name"].astext),
            "plan_name": func.coalesce(details["plan_name"].astext, columns.plan_name),
        }
    )
