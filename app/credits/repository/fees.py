"""The statements on the fees of affiliates."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Date,
    Row,
    cast,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.credits.models import (
    AffiliateFeeAccrual,
    CustomerAffiliate,
    billed_invoice,
)


async def find_links(connection: AsyncConnection, invoice_id: int) -> Sequence[Row[Any]]:
    """Return the affiliates that earn a fee from an invoice, and keep their links from changing.

    A link earns in the months whose last day lies between its dates. Each row has the `id` of the
    link, `affiliate_id`, `fee_percent`, and of the invoice `uuid`, `year`, `month`, `total_price`.
    """
    last_day = cast(
        func.make_date(billed_invoice.c.year, billed_invoice.c.month, 1)
        + func.make_interval(0, 1)
        - func.make_interval(0, 0, 0, 1),
        Date,
    )
    invoice = billed_invoice.c
    statement = (
        select(
            CustomerAffiliate.id,
            CustomerAffiliate.affiliate_id,
            CustomerAffiliate.fee_percent,
            *(invoice.uuid, invoice.year, invoice.month, invoice.total_price),
        )
        .join(billed_invoice, invoice.customer_id == CustomerAffiliate.customer_id)
        .where(
            invoice.id == invoice_id,
            CustomerAffiliate.is_active,
            or_(CustomerAffiliate.start_date.is_(None), CustomerAffiliate.start_date <= last_day),
            or_(CustomerAffiliate.end_date.is_(None), CustomerAffiliate.end_date > last_day),
        )
        .with_for_update(of=CustomerAffiliate, read=True)
    )
    return (await connection.execute(statement)).all()


async def add_accrual(
    connection: AsyncConnection, link_id: int, invoice_id: int, amount: Decimal
) -> bool:
    """Record the fee of a link and an invoice; return False if it is recorded already."""
    statement = (
        insert(AffiliateFeeAccrual)
        .values(
            uuid=uuid4(),
            affiliate_link_id=link_id,
            invoice_id=invoice_id,
            amount=amount,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing()
    )
    return bool((await connection.execute(statement)).rowcount)
