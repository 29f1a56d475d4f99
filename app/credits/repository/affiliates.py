"""The statements that write the links of customers to affiliates."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.credits.models import AffiliateFeeAccrual, CustomerAffiliate
from app.customers.models import Customer
from app.database.statements import equals_any


async def lock_affiliate(connection: AsyncConnection, uuid: UUID) -> Row[*tuple[Any, ...]] | None:
    """Lock a link and return its `id` and the columns that can be changed; None without one."""
    statement = (
        select(
            CustomerAffiliate.id,
            CustomerAffiliate.customer_id,
            CustomerAffiliate.affiliate_id,
            CustomerAffiliate.fee_percent,
            CustomerAffiliate.is_active,
            CustomerAffiliate.start_date,
            CustomerAffiliate.end_date,
        )
        .where(CustomerAffiliate.uuid == uuid)
        .with_for_update()
    )
    return (await connection.execute(statement)).one_or_none()


async def lock_customer(connection: AsyncConnection, customer_id: int) -> None:
    """Lock a customer."""
    statement = select(Customer.id).where(Customer.id == customer_id)
    await connection.execute(statement.with_for_update(key_share=True))


async def lock_customers(connection: AsyncConnection, customer_ids: Collection[int]) -> None:
    """Lock customers, in one order for all."""
    statement = (
        select(Customer.id)
        .where(equals_any(Customer.id, customer_ids))
        .order_by(Customer.id)
        .with_for_update(key_share=True)
    )
    await connection.execute(statement)


async def has_earned(connection: AsyncConnection, link_id: int) -> bool:
    """Return whether a locked link earned fees."""
    statement = select(exists().where(AffiliateFeeAccrual.affiliate_link_id == link_id))
    return bool((await connection.execute(statement)).scalar_one())


async def find_others(
    connection: AsyncConnection, customer_id: int, link_id: int | None
) -> Sequence[Row[int, bool]]:
    """Return `affiliate_id` and `is_active` of the other links of a customer."""
    statement = select(CustomerAffiliate.affiliate_id, CustomerAffiliate.is_active).where(
        CustomerAffiliate.customer_id == customer_id,
        CustomerAffiliate.id.is_distinct_from(link_id),
    )
    return (await connection.execute(statement)).all()


async def add_affiliate(connection: AsyncConnection, columns: Mapping[str, Any]) -> UUID:
    """Add a link and return its UUID."""
    uuid = uuid4()
    await connection.execute(
        insert(CustomerAffiliate).values(uuid=uuid, created_at=clock.now(), **columns)
    )
    return uuid


async def set_affiliate(
    connection: AsyncConnection, link_id: int, columns: Mapping[str, Any]
) -> None:
    """Set columns of a locked link."""
    await connection.execute(
        update(CustomerAffiliate).where(CustomerAffiliate.id == link_id).values(**columns)
    )


async def delete_affiliate(connection: AsyncConnection, link_id: int) -> bool:
    """Delete a locked link; return False if it earned fees."""
    earned = exists().where(AffiliateFeeAccrual.affiliate_link_id == CustomerAffiliate.id)
    statement = delete(CustomerAffiliate).where(CustomerAffiliate.id == link_id, ~earned)
    return bool((await connection.execute(statement)).rowcount)
