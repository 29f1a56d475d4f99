"""The sums of one invoice by offering."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, collate, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalogue.models import Category, Offering, Resource, ServiceProvider
from app.customers.models import Customer
from app.database.statements import AnySelect
from app.invoices.models import InvoiceItem
from app.invoices.queries.items import CODE_POINTS, offering_id, offerings_of

NIL_UUID: Final = UUID(int=0)
"""The provider of an offering without a customer: RFC 9562's nil UUID."""


async def count_offerings(
    connection: AsyncConnection, invoice_id: int, provider: UUID | None
) -> int:
    """Return the number of offerings with items, of all providers or of one."""
    sums = _sums(invoice_id, provider).subquery()
    return (await connection.execute(select(func.count()).select_from(sums))).scalar_one()


async def sums_by_offering(
    connection: AsyncConnection, invoice_id: int, provider: UUID | None, *, limit: int, offset: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return a page of the exact sums of item prices, in the order of the offerings' names.

    Rows have `name`, `price`, `title` of the category, `provider_name` and `provider_uuid`.
    """
    sums = _sums(invoice_id, provider).subquery()
    statement = (
        select(
            Offering.name,
            sums.c.price,
            Category.title,
            func.coalesce(Customer.name, "").label("provider_name"),
            func.coalesce(ServiceProvider.uuid, Customer.uuid, NIL_UUID).label("provider_uuid"),
        )
        .join(sums, sums.c.offering_id == Offering.id)
        .join(Category, Category.id == Offering.category_id)
        .outerjoin(Customer, Customer.id == Offering.customer_id)
        .outerjoin(ServiceProvider, ServiceProvider.customer_id == Customer.id)
        .order_by(collate(Offering.name, CODE_POINTS), Offering.uuid)
        .limit(limit)
        .offset(offset)
    )
    return (await connection.execute(statement)).all()


def _sums(invoice_id: int, provider: UUID | None) -> AnySelect:
    """Return the sum of item prices by offering; items without an offering are left out."""
    statement = (
        select(offering_id.label("offering_id"), func.sum(InvoiceItem.price).label("price"))
        .select_from(InvoiceItem)
        .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
        .where(InvoiceItem.invoice_id == invoice_id, offering_id.is_not(None))
        .group_by(offering_id)
    )
    return statement.where(offering_id.in_(offerings_of(provider))) if provider else statement
