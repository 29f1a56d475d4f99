"""The summaries that triggers maintain, compared with the invoices."""

from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.invoices.repository import writes
from tests.support.factories import Factories, Row

TALLIED = """
SELECT year, month, state, sum(invoices), sum(price), sum(cost) FROM invoice_tallies
GROUP BY year, month, state
HAVING sum(invoices) <> 0 OR sum(price) <> 0 OR sum(cost) <> 0 ORDER BY 1, 2, 3
"""
TRUE_TALLIES = """
SELECT year, month, state, count(*), sum(total_price), sum(total_cost) FROM invoices
GROUP BY year, month, state ORDER BY 1, 2, 3
"""
OF_CUSTOMERS = "SELECT customer_id, invoices, total FROM customer_year_totals ORDER BY 1"
TRUE_OF_CUSTOMERS = """
SELECT customer_id, count(invoices.id) FILTER (WHERE created >= since),
       coalesce(sum(total_cost) FILTER (WHERE created >= since), 0)
FROM customer_year_totals FULL JOIN invoices USING (customer_id)
GROUP BY customer_id ORDER BY 1
"""


async def rows(connection: AsyncConnection, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.execute(text(statement))]


async def check(connection: AsyncConnection) -> None:
    """Assert that the summaries agree with the invoices."""
    assert await rows(connection, TALLIED) == await rows(connection, TRUE_TALLIES)
    assert await rows(connection, OF_CUSTOMERS) == await rows(connection, TRUE_OF_CUSTOMERS)


async def year_ago(connection: AsyncConnection) -> date:
    """The day from which the triggers count for a new customer."""
    found: date = await connection.scalar(
        text("SELECT date((now() AT TIME ZONE 'UTC') - interval '1 year')")
    )
    return found


async def twelve_invoices(make: Factories) -> list[Row]:
    """Make twelve issued invoices of one customer, each with an item."""
    customer = await make.customer()
    made = [
        await make.invoice(customer, Period(2026, month), InvoiceState.CREATED)
        for month in range(1, 13)
    ]
    for invoice in made:
        await make.item(invoice)
    return made


async def add_item(connection: AsyncConnection, invoice: Row) -> None:
    await Factories(connection).item(invoice, "7")


async def pay(connection: AsyncConnection, invoice: Row) -> None:
    await writes.mark_paid(connection, invoice.id)


async def cancel(connection: AsyncConnection, invoice: Row) -> None:
    await writes.mark_canceled(connection, invoice.id, "reason")


async def annotate(connection: AsyncConnection, invoice: Row) -> None:
    await writes.set_text(connection, invoice.id, "backend_id", "x")


ACTIONS = (add_item, pay, add_item, cancel, annotate)
