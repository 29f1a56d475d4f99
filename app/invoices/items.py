"""The items of one invoice, streamed: thousands of them in bounded memory."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, UnaryExpression, collate, func, or_, select
from sqlalchemy.orm import aliased

from app.catalogue.tables import Offering, Resource, ServiceProvider
from app.customers.tables import Customer, Project
from app.database.engine import Database
from app.database.statements import AnySelect
from app.http.links import Links
from app.invoices.filters import ItemsParameters
from app.invoices.repository import FoundInvoice
from app.invoices.representation import CODE_POINTS, ITEM_ORDER, item, item_statement
from app.invoices.schemas import encode_items
from app.invoices.tables import InvoiceItem

CHUNK = 250
"""Items that are in memory at a time, of each answer under way."""

_seller = aliased(Customer)
_offering_id = func.coalesce(Resource.offering_id, InvoiceItem.offering_id)


async def stream(
    database: Database, invoice: FoundInvoice, parameters: ItemsParameters, links: Links
) -> AsyncGenerator[bytes, None]:
    """Yield the JSON array of the items, over a connection of its own."""
    statement = _statement(parameters).where(InvoiceItem.invoice_id == invoice.id)
    opening = b"["
    async with database.streaming() as connection:
        # As a context, the result would swallow the exit of this generator when it is closed early.
        found = await connection.stream(statement, execution_options={"yield_per": CHUNK})
        async for rows in found.mappings().partitions():
            items = [item(row, invoice.tax_percent) for row in rows]
            yield opening + encode_items(items, links)[1:-1]
            opening = b","
    yield b"[]" if opening == b"[" else b"]"


def _statement(parameters: ItemsParameters) -> AnySelect:
    statement = item_statement()
    if parameters.conceal_compensation_items:
        statement = statement.where(~InvoiceItem.credit)
    if parameters.query is not None:
        statement = statement.where(Resource.name.icontains(parameters.query, autoescape=True))
    if parameters.project_uuid:
        statement = statement.where(
            func.coalesce(InvoiceItem.project_uuid, Project.uuid) == parameters.project_uuid
        )
    if parameters.offering_uuid:
        of_uuid = select(Offering.id).where(Offering.uuid == parameters.offering_uuid)
        statement = statement.where(_offering_id == of_uuid.scalar_subquery())
    if parameters.provider_uuid:
        statement = statement.where(_offering_id.in_(offerings_of(parameters.provider_uuid)))
    if parameters.o is None:
        return statement.order_by(*ITEM_ORDER)
    if parameters.o.removeprefix("-") == "provider_name":
        statement = statement.outerjoin(Offering, Offering.id == _offering_id).outerjoin(
            _seller, _seller.id == Offering.customer_id
        )
    return statement.order_by(_asked_order(parameters.o), *ITEM_ORDER)


def offerings_of(provider: UUID) -> AnySelect:
    """Return the ids of a service provider's offerings, by its own UUID or its customer's."""
    return (
        select(Offering.id)
        .join(Customer, Customer.id == Offering.customer_id)
        .outerjoin(ServiceProvider, ServiceProvider.customer_id == Customer.id)
        .where(or_(Customer.uuid == provider, ServiceProvider.uuid == provider))
    )


def _asked_order(order: str) -> UnaryExpression[Any]:
    columns: dict[str, ColumnElement[str]] = {
        "project_name": InvoiceItem.project_name.expression,
        "resource_name": Resource.name.expression,
        "provider_name": _seller.name.expression,
        "name": InvoiceItem.name.expression,
    }
    column = collate(func.nullif(columns[order.removeprefix("-")], ""), CODE_POINTS)
    return column.desc().nulls_last() if order.startswith("-") else column.asc().nulls_last()
