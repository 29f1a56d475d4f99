"""Reconciling the totals that invoices keep with what their items say.

Triggers keep the totals; drift means that something went around them. What is found is told,
since someone should know why, and mended.
"""

from decimal import Decimal
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    Subquery,
    and_,
    cast,
    func,
    literal,
    or_,
    select,
    update,
)

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.database import import_lock
from app.database.engine import Database
from app.invoices.models import DatabaseCurrency, Invoice, InvoiceItem
from app.logging import get_logger
from app.outbox.outcome import JobSummary, RetryAfter

_BATCH: Final = 500
_ACTOR: Final = Actor("reconcile_totals")

_logger = get_logger(__name__)

_exact = InvoiceItem.unit_price * InvoiceItem.quantity
_SUMS: Final = {
    "total_price": func.sum(InvoiceItem.price),
    "incurred_costs": func.sum(_exact).filter(~InvoiceItem.credit),
    "compensations": func.sum(_exact).filter(InvoiceItem.credit),
}
"""What is summed up of an invoice's items."""
_KEPT: Final = (*_SUMS, "total_cost")
_decimals = select(cast(DatabaseCurrency.decimals, Integer)).scalar_subquery()


async def reconcile_totals(database: Database, key: SecretStr) -> JobSummary:
    """Compare the kept totals of every invoice with its items; report and mend each that drifted.

    Invoices without drift are not touched: they keep their revision. `key` seals the record of what
    is mended. Raises Later where an import runs and something is to be mended.
    """
    summary = JobSummary()
    last = 0
    while True:
        async with database.reading() as connection:
            upper = (await connection.execute(_end_of_batch(last))).scalar_one()
            if upper is None:
                return summary
            drifted = (await connection.execute(_drifted(last, upper))).all()
        for row in drifted:
            await _mend(database, key, row.id, summary)
        last = upper


def _end_of_batch(last: int) -> Select[int | None]:
    batch = select(Invoice.id).where(Invoice.id > last).order_by(Invoice.id).limit(_BATCH)
    return select(func.max(batch.subquery().c.id))


def _drifted(last: int, upper: int) -> Select[int]:
    """Select the ids of the invoices in a batch whose kept totals differ from the true ones."""
    # One statement sees items and totals as of one moment: a change under way is no drift.
    sums = _sums(InvoiceItem.invoice_id > last, InvoiceItem.invoice_id <= upper)
    true = _true(sums)
    return (
        select(Invoice.id)
        .outerjoin(sums, sums.c.invoice_id == Invoice.id)
        .where(
            and_(Invoice.id > last, Invoice.id <= upper),
            or_(*(getattr(Invoice, name) != true[name] for name in _KEPT)),
        )
        .order_by(Invoice.id)
    )


def _sums(*where: ColumnElement[bool]) -> Subquery:
    sums = (sum_.label(name) for name, sum_ in _SUMS.items())
    return (
        select(InvoiceItem.invoice_id, *sums)
        .where(*where)
        .group_by(InvoiceItem.invoice_id)
        .subquery()
    )


def _true(sums: Subquery) -> dict[str, ColumnElement[Any]]:
    """Return what each kept total must be, by the sums of the items and the invoice's tax."""
    true: dict[str, ColumnElement[Any]] = {name: func.coalesce(sums.c[name], 0) for name in _SUMS}
    cost = true["total_price"] * (100 + Invoice.tax_percent) * Decimal("0.01")
    return true | {"total_cost": func.round(cost, _decimals)}


async def _mend(database: Database, key: SecretStr, invoice_id: int, summary: JobSummary) -> None:
    async with audited_transaction(database, key, _ACTOR) as connection:
        if not await import_lock.try_lock_out_imports(connection):
            raise RetryAfter(import_lock.RETRY_AFTER, import_lock.REASON)
        # Whoever changes items changes this row in the same transaction. Once it is locked, the
        # next statement sees the items of all who came before; who comes after adds to the result.
        stored = (
            await connection.execute(
                select(Invoice.number, *(getattr(Invoice, name) for name in _KEPT))
                .where(Invoice.id == invoice_id)
                .with_for_update()
            )
        ).one_or_none()
        if stored is None:
            return
        sums = _sums(InvoiceItem.invoice_id == invoice_id)
        true = (
            await connection.execute(
                select(*(value.label(name) for name, value in _true(sums).items()))
                .select_from(Invoice)
                .outerjoin(sums, literal(True))
                .where(Invoice.id == invoice_id)
            )
        ).one()
        drift = _differences(stored, true)
        if not drift:
            return
        await connection.execute(
            update(Invoice).where(Invoice.id == invoice_id).values(**true._mapping)
        )
    words = ", ".join(drift)
    _logger.warning("totals drifted", number=stored.number, drift=words)
    summary.counts["mended"] += 1
    summary.notes.append(f"invoice {stored.number} had {words}")


def _differences(stored: Row[*tuple[Any, ...]], true: Row[*tuple[Any, ...]]) -> list[str]:
    pairs = ((name, getattr(stored, name), getattr(true, name)) for name in _KEPT)
    return [
        f"{name} {kept.normalize():f} instead of {right.normalize():f}"
        for name, kept, right in pairs
        if kept != right
    ]
