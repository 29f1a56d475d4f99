"""The items of one invoice, streamed: thousands of them in bounded memory."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, UnaryExpression, collate, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.api.caching.conditional_get import Answers, Selected
from app.billing.currencies import get_currency
from app.catalogue.models import Offering, Resource, ServiceProvider
from app.customers.models import Customer, Project
from app.database.statements import AnySelect
from app.invoices.api.filters import InvoiceFilters, ItemsParameters
from app.invoices.models import InvoiceItem
from app.invoices.queries.invoices import OfOneInvoice
from app.invoices.rendering.documents import item_batches
from app.invoices.rendering.rows import CODE_POINTS, ITEM_ORDER, item, item_statement
from app.invoices.repository.reads import FoundInvoice
from app.invoices.schemas import encode_items

_seller = aliased(Customer)
_ORDERED_DETAILS = ("offering_name", "plan_name", "service_provider_name")
_offering_id = func.coalesce(Resource.offering_id, InvoiceItem.offering_id)


class InvoiceItems(OfOneInvoice[ItemsParameters]):
    """The items of one invoice."""

    async def select(self, connection: AsyncConnection) -> "_SelectedItems":
        """Find the invoice; raises NotFound."""
        return _SelectedItems(self.answers, await self.find(connection), self.parameters)


@dataclass
class _SelectedItems(Selected):
    answers: Answers
    invoice: FoundInvoice
    parameters: ItemsParameters
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def made_of(self) -> tuple[object, ...]:
        narrowed = self.parameters.model_dump(exclude=set(InvoiceFilters.model_fields))
        return ("items", self.invoice.version, tuple(narrowed.items()))

    async def made(self, connection: AsyncConnection) -> AsyncGenerator[bytes, None]:
        statement = _statement(self.parameters).where(InvoiceItem.invoice_id == self.invoice.id)
        tax, currency = self.invoice.tax_percent, get_currency(self.answers.settings.currency)
        opening = b"["
        async with aclosing(item_batches(connection, statement)) as batches:
            async for rows in batches:
                items = [item(row, tax, currency) for row in rows]
                yield opening + encode_items(items, self.answers.links)[1:-1]
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
        # As the item shows them, which is what they were when it was made.
        **{name: InvoiceItem.details[name].astext for name in _ORDERED_DETAILS},
    }
    column = collate(func.nullif(columns[order.removeprefix("-")], ""), CODE_POINTS)
    return column.desc().nulls_last() if order.startswith("-") else column.asc().nulls_last()
