"""The statements that compare and correct the totals of invoices, which triggers keep."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Subquery,
    any_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.models import DatabaseCurrency, Invoice, InvoiceItem
from app.invoices.states import CHANGEABLE, UNSETTLED

_exact = InvoiceItem.unit_price * InvoiceItem.quantity
_SUMS: Final = {
    "total_price": func.sum(InvoiceItem.price),
    "incurred_costs": func.sum(_exact).filter(~InvoiceItem.credit),
    "compensations": func.sum(_exact).filter(InvoiceItem.credit),
}
"""The sums over an invoice's items."""
TOTALS: Final = (*_SUMS, "total_cost")
"""The columns that triggers keep."""
_decimals = select(cast(DatabaseCurrency.decimals, Integer)).scalar_subquery()

# The triggers compute values that are set to null.
_REMOVE_PRICES: Final = text(
    "UPDATE invoice_items SET price = NULL FROM invoices"
    " WHERE invoices.id = invoice_id AND state IN :changeable"
    " AND price <> item_price(unit_price, quantity, :decimals)"
).bindparams(bindparam("changeable", CHANGEABLE, expanding=True))
_REMOVE_TOTALS: Final = text(
    "UPDATE invoices SET total_cost = NULL"
    " WHERE state IN :unsettled AND total_cost <> round(total_cost, :decimals)"
).bindparams(bindparam("unsettled", UNSETTLED, expanding=True))


async def end_of_batch(connection: AsyncConnection, after: int, limit: int) -> int | None:
    """Return the last id of the next batch of invoices; None after the last invoice."""
    batch = select(Invoice.id).where(Invoice.id > after).order_by(Invoice.id).limit(limit)
    last: int | None = await connection.scalar(select(func.max(batch.subquery().c.id)))
    return last


async def count_invoices(connection: AsyncConnection) -> int:
    """Return the number of all invoices."""
    return (await connection.execute(select(func.count()).select_from(Invoice))).scalar_one()


async def find_drifted(connection: AsyncConnection, after: int, last: int) -> Sequence[int]:
    """Return the ids of invoices, of those after `after` to `last`, with wrong totals."""
    # One statement sees items and totals at one moment: a change in progress is no drift.
    sums = _sums(InvoiceItem.invoice_id > after, InvoiceItem.invoice_id <= last)
    correct = _correct_totals(sums)
    statement = (
        select(Invoice.id)
        .outerjoin(sums, sums.c.invoice_id == Invoice.id)
        .where(
            Invoice.id > after,
            Invoice.id <= last,
            or_(*(getattr(Invoice, name) != correct[name] for name in TOTALS)),
        )
        .order_by(Invoice.id)
    )
    return (await connection.execute(statement)).scalars().all()


async def lock_totals(connection: AsyncConnection, invoice_id: int) -> Row[Any] | None:
    """Lock an invoice; return its number and stored totals, or None if it does not exist."""
    statement = (
        select(Invoice.number, *(getattr(Invoice, name) for name in TOTALS))
        .where(Invoice.id == invoice_id)
        .with_for_update()
    )
    return (await connection.execute(statement)).one_or_none()


async def compute_totals(connection: AsyncConnection, invoice_id: int) -> Row[Any]:
    """Return the correct totals of an invoice, by its items and tax."""
    sums = _sums(InvoiceItem.invoice_id == invoice_id)
    statement = (
        select(*(value.label(name) for name, value in _correct_totals(sums).items()))
        .select_from(Invoice)
        .outerjoin(sums, literal(True))
        .where(Invoice.id == invoice_id)
    )
    return (await connection.execute(statement)).one()


async def set_totals(connection: AsyncConnection, invoice_id: int, totals: Row[Any]) -> None:
    """Set the totals of an invoice."""
    await connection.execute(
        update(Invoice).where(Invoice.id == invoice_id).values(**totals._mapping)
    )


async def round_open_amounts(connection: AsyncConnection, decimals: int) -> None:
    """Round the prices of open items and the totals that are not settled to other decimals.

    Invoices that are as their import left them stay so.
    """
    unchanged = (
        await connection.execute(
            select(Invoice.id).where(
                Invoice.state.in_(CHANGEABLE), Invoice.imported_revision == Invoice.revision
            )
        )
    ).scalars()
    ids = list(unchanged)
    await connection.execute(_REMOVE_PRICES, {"decimals": decimals})
    await connection.execute(_REMOVE_TOTALS, {"decimals": decimals})
    await connection.execute(
        update(Invoice)
        .where(Invoice.id == any_(literal(ids, ARRAY(BigInteger))))
        .values(imported_revision=Invoice.revision)
    )


def _sums(*where: ColumnElement[bool]) -> Subquery:
    sums = (sum_.label(name) for name, sum_ in _SUMS.items())
    return (
        select(InvoiceItem.invoice_id, *sums)
        .where(*where)
        .group_by(InvoiceItem.invoice_id)
        .subquery()
    )


def _correct_totals(sums: Subquery) -> dict[str, ColumnElement[Any]]:
    correct: dict[str, ColumnElement[Any]] = {
        name: func.coalesce(sums.c[name], 0) for name in _SUMS
    }
    cost = correct["total_price"] * (100 + Invoice.tax_percent) * Decimal("0.01")
    return correct | {"total_cost": func.round(cost, _decimals)}
