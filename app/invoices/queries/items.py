"""Items of invoices: which ones are shown, their order, and the filters on one invoice's items."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    UnaryExpression,
    any_,
    bindparam,
    collate,
    func,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from app.catalogue.models import (
    Offering,
    OfferingComponent,
    PlanComponent,
    Resource,
    ServiceProvider,
)
from app.customers.models import Customer, Project
from app.database.statements import AnySelect
from app.invoices.models import InvoiceItem

BATCH_SIZE: Final = 100
"""Items that are in memory at a time, for each response. The selects come in batches of it."""
CODE_POINTS: Final = "C"
"""The collation of every order by text, independent of the database's own."""

is_shown: ColumnElement[bool] = InvoiceItem.price != 0
"""Items that cost nothing are hidden."""
project_name: ColumnElement[Any] = func.coalesce(
    func.nullif(InvoiceItem.project_name, ""), Project.name
)
"""The name when the item was made; for older items the project's own, which may be null."""
ORDER_WITHIN_PROJECT: tuple[ColumnElement[Any], ...] = (
    collate(InvoiceItem.name, CODE_POINTS),
    InvoiceItem.id.expression,
)
ITEM_ORDER: tuple[ColumnElement[Any], ...] = (
    collate(InvoiceItem.project_name, CODE_POINTS),
    *ORDER_WITHIN_PROJECT,
)
offering_id = func.coalesce(Resource.offering_id, InvoiceItem.offering_id)
"""The offering that an item counts for; the resource's own comes first."""

_seller = aliased(Customer)
_DETAILS_ORDERS = ("offering_name", "plan_name", "service_provider_name")
_ITEMS = (
    select(
        InvoiceItem.uuid,
        InvoiceItem.name,
        InvoiceItem.price,
        InvoiceItem.unit_price,
        InvoiceItem.unit,
        InvoiceItem.measured_unit,
        InvoiceItem.start,
        InvoiceItem.end,
        InvoiceItem.article_code,
        project_name.label("project_name"),
        func.coalesce(InvoiceItem.project_uuid, Project.uuid).label("project_uuid"),
        InvoiceItem.quantity,
        InvoiceItem.details,
        InvoiceItem.backend_uuid,
        InvoiceItem.credit,
        Resource.uuid.label("resource_uuid"),
        Resource.name.label("resource_name"),
        OfferingComponent.billing_type,
    )
    .select_from(InvoiceItem)
    .outerjoin(Project, Project.id == InvoiceItem.project_id)
    .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
    .outerjoin(PlanComponent, PlanComponent.id == InvoiceItem.plan_component_id)
    .outerjoin(OfferingComponent, OfferingComponent.id == PlanComponent.component_id)
    .where(is_shown)
    .execution_options(yield_per=BATCH_SIZE)
)

_invoices = bindparam("invoices", type_=ARRAY(BigInteger))
ITEMS_OF_INVOICES: Final = (
    _ITEMS.add_columns(InvoiceItem.invoice_id)
    .where(InvoiceItem.invoice_id == any_(_invoices))
    .order_by(func.array_position(_invoices, InvoiceItem.invoice_id), *ITEM_ORDER)
)
"""The shown items of the invoices whose keys the parameter `invoices` lists, in that order."""


@dataclass(frozen=True, slots=True)
class ItemFilters:
    """Which items of an invoice are read, and their order."""

    without_credits: bool
    resource_name: str | None
    """A part of the name, in any case."""
    project_uuid: UUID | None
    offering_uuid: UUID | None
    provider_uuid: UUID | None
    """A service provider's own UUID, or its customer's."""
    order: str | None
    """The name of a documented order, with `-` for descending."""


def filtered_items(invoice_id: int, filters: ItemFilters) -> AnySelect:
    """Return the select of the shown items of one invoice that match the filters."""
    statement = _ITEMS.where(InvoiceItem.invoice_id == invoice_id)
    if filters.without_credits:
        statement = statement.where(~InvoiceItem.credit)
    if filters.resource_name is not None:
        statement = statement.where(Resource.name.icontains(filters.resource_name, autoescape=True))
    if filters.project_uuid:
        statement = statement.where(
            func.coalesce(InvoiceItem.project_uuid, Project.uuid) == filters.project_uuid
        )
    if filters.offering_uuid:
        of_uuid = select(Offering.id).where(Offering.uuid == filters.offering_uuid)
        statement = statement.where(offering_id == of_uuid.scalar_subquery())
    if filters.provider_uuid:
        statement = statement.where(offering_id.in_(offerings_of(filters.provider_uuid)))
    if filters.order is None:
        return statement.order_by(*ITEM_ORDER)
    if filters.order.removeprefix("-") == "provider_name":
        statement = statement.outerjoin(Offering, Offering.id == offering_id).outerjoin(
            _seller, _seller.id == Offering.customer_id
        )
    return statement.order_by(_order_by(filters.order), *ITEM_ORDER)


def offerings_of(provider: UUID | ColumnElement[UUID]) -> AnySelect:
    """Return the ids of a service provider's offerings, by its own UUID or its customer's."""
    return (
        select(Offering.id)
        .join(Customer, Customer.id == Offering.customer_id)
        .outerjoin(ServiceProvider, ServiceProvider.customer_id == Customer.id)
        .where(or_(Customer.uuid == provider, ServiceProvider.uuid == provider))
    )


def _order_by(order: str) -> UnaryExpression[Any]:
    columns: dict[str, ColumnElement[str]] = {
        "project_name": InvoiceItem.project_name.expression,
        "resource_name": Resource.name.expression,
        "provider_name": _seller.name.expression,
        "name": InvoiceItem.name.expression,
        # The names at the time when the item was made, as the item shows them.
        **{name: InvoiceItem.details[name].astext for name in _DETAILS_ORDERS},
    }
    column = collate(func.nullif(columns[order.removeprefix("-")], ""), CODE_POINTS)
    return column.desc().nulls_last() if order.startswith("-") else column.asc().nulls_last()
