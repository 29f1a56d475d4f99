"""The statements on the fees of affiliates."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Date,
    Row,
    any_,
    cast,
    func,
    literal,
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
from app.database.statements import equals_any


async def lock_links(connection: AsyncConnection, customer_ids: Collection[int]) -> dict[int, int]:
    """Keep the active links of customers from changing; return the affiliate of each customer."""
    statement = (
        select(CustomerAffiliate.customer_id, CustomerAffiliate.affiliate_id)
        .where(equals_any(CustomerAffiliate.customer_id, customer_ids), CustomerAffiliate.is_active)
        .order_by(CustomerAffiliate.id)
        .with_for_update(read=True)
    )
    return {row.customer_id: row.affiliate_id for row in await connection.execute(statement)}


async def find_links(
    connection: AsyncConnection, invoice_ids: Sequence[int]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the affiliates that earn a fee from invoices, in the order of the invoices.

    A link earns in the months whose last day lies between its dates. Each row has the `id` of the
    link, `affiliate_id`, `fee_percent`, and of the invoice `invoice_id`, `uuid`, `year`, `month`,
    `total_price`.
    """
    last_day = cast(
        func.make_date(billed_invoice.c.year, billed_invoice.c.month, 1)
        + func.make_interval(0, 1)
        - func.make_interval(0, 0, 0, 1),
        Date,
    )
    invoice = billed_invoice.c
    given = literal(list(invoice_ids), ARRAY(BigInteger))
    statement = (
        select(
            CustomerAffiliate.id,
            CustomerAffiliate.affiliate_id,
            CustomerAffiliate.fee_percent,
            invoice.id.label("invoice_id"),
            *(invoice.uuid, invoice.year, invoice.month, invoice.total_price),
        )
        .join(billed_invoice, invoice.customer_id == CustomerAffiliate.customer_id)
        .where(
            invoice.id == any_(given),
            CustomerAffiliate.is_active,
            or_(CustomerAffiliate.start_date.is_(None), CustomerAffiliate.start_date <= last_day),
            or_(CustomerAffiliate.end_date.is_(None), CustomerAffiliate.end_date > last_day),
        )
        .order_by(func.array_position(given, invoice.id))
    )
    return (await connection.execute(statement)).all()


@dataclass(frozen=True, slots=True)
class Accrual:
    """The fee that a link earns from an invoice."""

    link_id: int
    invoice_id: int
    amount: Decimal


async def add_accruals(
    connection: AsyncConnection, accruals: Sequence[Accrual]
) -> set[tuple[int, int]]:
    """Record fees; return the ids of link and invoice of those that were not recorded before."""
    if not accruals:
        return set()
    values = [
        {
            "uuid": uuid4(),
            "affiliate_link_id": each.link_id,
            "invoice_id": each.invoice_id,
            "amount": each.amount,
            "created_at": clock.now(),
        }
        for each in accruals
    ]
    statement = (
        insert(AffiliateFeeAccrual)
        .on_conflict_do_nothing()
        .returning(AffiliateFeeAccrual.affiliate_link_id, AffiliateFeeAccrual.invoice_id)
    )
    return {(row[0], row[1]) for row in await connection.execute(statement, values)}
