"""Among the invoices of many months, indexes lead to those of a report file and to their items."""

from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.actions.freeze import freeze
from app.reports.queries.report_rows import ReportRows, count_report_rows, stream_report_rows
from app.settings import Settings
from tests.support.executed import noting_statements
from tests.support.plans import Plans

CUSTOMERS, ITEMS = 20, 2
"""Of each month of 36 years: one invoice a customer, every fourth issued, with so many items."""
MANY = (
    f"""
INSERT INTO customers
    (uuid, name, default_tax_percent, accounting_start_date, archived, created_at)
SELECT gen_random_uuid(), 'Customer ' || n, 20, timestamptz '2020-01-01', false,
       timestamptz '2020-01-01'
FROM generate_series(1, {CUSTOMERS}) AS n
    """,
    """
INSERT INTO invoices (uuid, customer_id, year, month, state, tax_percent, created)
SELECT gen_random_uuid(), id, y, m, 'pending', 20, make_date(y, m, 1)
FROM generate_series(1990, 2025) AS y, generate_series(1, 12) AS m, customers
    """,
    f"""
INSERT INTO invoice_items
    (uuid, invoice_id, name, unit_price, quantity, unit, start, "end", details)
SELECT gen_random_uuid(), i.id, 'Item ' || n, n, 1, 'hour', make_date(year, month, 1),
       make_date(year, month, 28), jsonb_build_object('text', repeat('x', 200))
FROM invoices AS i, generate_series(1, {ITEMS}) AS n
    """,
    """
UPDATE invoices SET state = 'created', invoice_date = make_date(year, month, 28),
    due_date = make_date(year, month, 28)
WHERE customer_id % 4 = 0
    """,
)


async def test_indexes_lead_to_the_rows_of_a_month(
    app: FastAPI, client: httpx.AsyncClient, connection: AsyncConnection, settings: Settings
) -> None:
    clock.freeze(datetime(2026, 4, 15, tzinfo=UTC))
    for statement in MANY:
        await connection.execute(text(statement))
    database: Database = app.state.database
    async with database.transaction() as changing:
        issued = await changing.scalars(text("SELECT id FROM invoices WHERE state = 'created'"))
        await freeze(changing, issued.all(), settings)
    await connection.execute(text("VACUUM ANALYZE"))
    tables = ("invoices", "invoice_items", "invoice_documents", "document_lines")
    plans = Plans(app, client, connection, tables)
    month = Period(2024, 5)
    for rows in ReportRows:
        executed: list[tuple[str, tuple[Any, ...]]] = []
        with noting_statements(app, lambda *each, noted=executed: noted.append(each)):
            async with database.snapshot() as reading:
                count = await count_report_rows(reading, month, rows)
                found = [len(batch) async for batch in stream_report_rows(reading, month, rows)]
        assert count == sum(found) == CUSTOMERS * (ITEMS if rows is ReportRows.ITEMS else 1)
        await plans.check_statements(f"{rows} of {month}", executed, CUSTOMERS * ITEMS)
    assert not plans.faults, "\n".join(plans.faults)
