"""Items of invoices: which ones are shown, their order, and the filters on one invoice's items.

The items of a frozen invoice come from its document, those of another one from the tables
(`app.invoices.repository.item_sources`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    UnaryExpression,
    any_,
    bindparam,
    collate,
    func,
    or_,
    select,
    union_all,
)

from app.catalogue.models import Offering, ServiceProvider
from app.customers.models import Customer
from app.database.statements import AnySelect
from app.invoices.models import InvoiceItem
from app.invoices.repository.item_sources import (
    CODE_POINTS,
    FROZEN,
    LIVE,
    is_shown_in,
    item_order,
    source_of,
)

BATCH_SIZE: Final = 100
"""Items that are in memory at a time, for each response. The selects come in batches of it."""

is_shown: ColumnElement[bool] = InvoiceItem.price != 0
"""Items that cost nothing are hidden."""
ORDER_WITHIN_PROJECT: tuple[ColumnElement[Any], ...] = (
    collate(InvoiceItem.name, CODE_POINTS),
    InvoiceItem.id.expression,
)
ITEM_ORDER: tuple[ColumnElement[Any], ...] = (
    collate(InvoiceItem.project_name, CODE_POINTS),
    *ORDER_WITHIN_PROJECT,
)

_DETAILS_ORDERS = ("offering_name", "plan_name", "service_provider_name")
_COLUMNS: Final = (
    "uuid", "name", "price", "unit_price", "unit", "measured_unit", "start", "end",
    "article_code", "project_name", "project_uuid", "quantity", "details", "backend_uuid",
    "credit", "resource_uuid", "resource_name", "billing_type",
)  # fmt: skip
"""The columns of a rendered item."""


def _items(source: FromClause, *further: str) -> AnySelect:
    """Select the shown items of a source, in batches."""
    columns = (source.c[name] for name in (*_COLUMNS, *further))
    return select(*columns).where(is_shown_in(source)).execution_options(yield_per=BATCH_SIZE)


def items_of_invoices(
    invoices: Collection[int], frozen: Collection[int]
) -> tuple[AnySelect, dict[str, Any]]:
    """Return the select of the shown items of invoices, in that order, and its parameters.

    Rows have the `invoice_id`, too. `frozen` are those invoices that have a document.
    """
    live = [each for each in invoices if each not in frozen]
    values: dict[str, Any] = {"invoices": [*invoices]}
    if live and frozen:
        values |= {"live": live, "frozen": [*frozen]}
    return select_items(live=bool(live), frozen=bool(frozen)), values


@cache
def select_items(*, live: bool, frozen: bool) -> AnySelect:
    """Return the select of the shown items of the parameter `invoices`, in that order.

    For both kinds, the parameters `frozen` and `live` name the invoices of each.
    """
    order = bindparam("invoices", type_=ARRAY(BigInteger))
    if live and frozen:
        parts = [
            _items(source, "invoice_id", "own_project_name", "id").where(
                source.c.invoice_id == any_(bindparam(name, type_=ARRAY(BigInteger)))
            )
            for source, name in ((LIVE, "live"), (FROZEN, "frozen"))
        ]
        source: FromClause = union_all(*parts).subquery("item")
        statement = _items(source, "invoice_id")
    else:
        source = source_of(frozen)
        statement = _items(source, "invoice_id").where(source.c.invoice_id == any_(order))
    place = func.array_position(order, source.c.invoice_id)
    return statement.order_by(place, *item_order(source))


@dataclass(frozen=True, slots=True)
class ItemFilters:
    """Which items of an invoice are read, and their order."""

    without_credits: bool = False
    resource_name: str | None = None
    """A part of the name, in any case."""
    project_uuid: UUID | None = None
    offering_uuid: UUID | None = None
    provider_uuid: UUID | None = None
    """A service provider's own UUID, or its customer's."""
    order: str | None = None
    """The name of a documented order, with `-` for descending."""


def filtered_items(invoice_id: int, filters: ItemFilters, *, is_frozen: bool) -> AnySelect:
    """Return the select of the shown items of one invoice that match the filters."""
    source = source_of(is_frozen)
    item = source.c
    statement = _items(source).where(item.invoice_id == invoice_id)
    if filters.without_credits:
        statement = statement.where(~item.credit)
    if filters.resource_name is not None:
        statement = statement.where(
            item.resource_name.icontains(filters.resource_name, autoescape=True)
        )
    if filters.project_uuid:
        statement = statement.where(item.project_uuid == filters.project_uuid)
    if filters.offering_uuid:
        statement = statement.where(item.offering_uuid == filters.offering_uuid)
    if filters.provider_uuid:
        statement = statement.where(is_of_provider(source, filters.provider_uuid))
    if filters.order is None:
        return statement.order_by(*item_order(source))
    return statement.order_by(_order_by(source, filters.order), *item_order(source))


def is_of_provider(source: FromClause, provider: UUID) -> ColumnElement[bool]:
    """Return the condition that items are of a provider, by its own UUID or its customer's."""
    return or_(source.c.seller_uuid == provider, source.c.provider_uuid == provider)


def offerings_of(provider: UUID | ColumnElement[UUID]) -> AnySelect:
    """Return the ids of a service provider's offerings, by its own UUID or its customer's."""
    return (
        select(Offering.id)
        .join(Customer, Customer.id == Offering.customer_id)
        .outerjoin(ServiceProvider, ServiceProvider.customer_id == Customer.id)
        .where(or_(Customer.uuid == provider, ServiceProvider.uuid == provider))
    )


def _order_by(source: FromClause, order: str) -> UnaryExpression[Any]:
    columns: dict[str, ColumnElement[str]] = {
        "project_name": source.c.own_project_name,
        "resource_name": source.c.resource_name,
        "provider_name": source.c.seller_name,
        "name": source.c.name,
        # The names at the time when the item was made, as the item shows them.
        **{name: source.c.details[name].astext for name in _DETAILS_ORDERS},
    }
    column = collate(func.nullif(columns[order.removeprefix("-")], ""), CODE_POINTS)
    return column.desc().nulls_last() if order.startswith("-") else column.asc().nulls_last()
