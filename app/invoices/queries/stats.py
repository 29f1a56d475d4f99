"""The sums of one invoice by offering."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, collate, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.statements import AnySelect
from app.invoices.queries.items import is_of_provider
from app.invoices.repository.item_sources import CODE_POINTS, source_of
from app.invoices.repository.reads import FoundInvoice

NIL_UUID: Final = UUID(int=0)
"""The provider of an offering without a customer: RFC 9562's nil UUID."""


async def count_offerings(
    connection: AsyncConnection, invoice: FoundInvoice, provider: UUID | None
) -> int:
    """Return the number of offerings with items, of all providers or of one."""
    sums = _sums(invoice, provider).subquery()
    return (await connection.execute(select(func.count()).select_from(sums))).scalar_one()


async def sums_by_offering(
    connection: AsyncConnection,
    invoice: FoundInvoice,
    provider: UUID | None,
    *,
    limit: int,
    offset: int,
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return a page of the exact sums of item prices, in the order of the offerings' names.

    Rows have `name`, `price`, `title` of the category, `provider_name` and `provider_uuid`.
    """
    sums = _sums(invoice, provider).subquery()
    statement = (
        select(sums)
        .order_by(collate(sums.c.name, CODE_POINTS), sums.c.offering_uuid)
        .limit(limit)
        .offset(offset)
    )
    return (await connection.execute(statement)).all()


def _sums(invoice: FoundInvoice, provider: UUID | None) -> AnySelect:
    """Return the sum of item prices by offering; items without an offering are left out."""
    source = source_of(invoice.is_frozen)
    item = source.c
    offering = {
        "offering_uuid": item.offering_uuid,
        "name": item.offering_name,
        "title": item.category_title,
        "provider_name": func.coalesce(item.seller_name, ""),
        "provider_uuid": func.coalesce(item.provider_uuid, item.seller_uuid, NIL_UUID),
    }
    statement = (
        select(
            *(value.label(name) for name, value in offering.items()),
            func.sum(item.price).label("price"),
        )
        .where(item.invoice_id == invoice.id, item.offering_uuid.is_not(None))
        .group_by(
            item.offering_uuid, item.offering_name, item.category_title, item.seller_name,
            item.provider_uuid, item.seller_uuid,
        )
    )  # fmt: skip
    return statement.where(is_of_provider(source, provider)) if provider else statement
