"""Among many invoices, every filter and order of the list is led by an index."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.factories import Factories

MANY = """
INSERT INTO invoices
    (uuid, customer_id, year, month, state, tax_percent, created, total_price)
SELECT gen_random_uuid(), customers.id, 2020 + m / 12, 1 + m % 12,
       CASE WHEN m = 79 THEN 'pending' WHEN m = 78 THEN 'created' ELSE 'paid' END,
       20, make_date(2020 + m / 12, 1 + m % 12, 1), m
FROM customers, generate_series(0, 79) AS m
ORDER BY m
"""
CUSTOMERS = """
INSERT INTO customers
    (uuid, name, default_tax_percent, accounting_start_date, archived, created_at)
SELECT gen_random_uuid(), 'Customer', 20,
       CASE WHEN n = 1 THEN timestamptz '2999-01-01' ELSE timestamptz '2020-01-01' END,
       false, timestamptz '2020-01-01'
FROM generate_series(1, 100) AS n
"""

Executed = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture
def executed(app: FastAPI) -> Iterator[Executed]:
    """What the API has executed, with its parameters."""
    seen: Executed = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        seen.append((statement, tuple(values)))

    engine = app.state.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def test_every_filter_and_order_has_an_index(
    client: httpx.AsyncClient, executed: Executed, connection: AsyncConnection, make: Factories
) -> None:
    await make.token(await make.staff(), "key")
    for statement in (CUSTOMERS, MANY, "VACUUM ANALYZE customers, invoices"):
        await connection.execute(text(statement))
    customer = (await connection.scalars(text("SELECT uuid FROM customers LIMIT 1"))).one()

    async def plan(path: str) -> str:
        """Return how PostgreSQL finds the invoices of a request."""
        executed.clear()
        answer = await client.get(path, headers={"Authorization": "Token key"})
        assert answer.status_code == 200
        lines: list[str] = []
        for statement, values in executed:
            if "FROM invoices" in statement:
                rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
                lines += rows.scalars().all()
        assert lines
        return "\n".join(lines)

    for query, index in (
        ("", "ix_invoices_newest_first"),
        ("state=pending", "ix_invoices_state_newest_first"),
        ("state=pending&state=created", "ix_invoices_state_newest_first"),
        ("year=2021", "ix_invoices_newest_first"),
        ("month=5", "ix_invoices_month_newest_first"),
        ("created=2021-03-01", "ix_invoices_created_newest_first"),
        ("start_date=2026-06-30", "ix_invoices_created_newest_first"),
        ("end_date=2020-03-01", "ix_invoices_created_newest_first"),
        (f"customer_uuid={customer}", "uq_invoices_customer_id_year_month"),
        ("accounting_is_running=false", "uq_invoices_customer_id_year_month"),
        ("min_sum=94", "ix_invoices_total_cost"),
        ("max_sum=0", "ix_invoices_total_cost"),
        ("o=created", "ix_invoices_created_newest_first"),
        ("o=-created", "ix_invoices_created_newest_first"),
        ("o=month", "ix_invoices_month_newest_first"),
        ("o=-month", "ix_invoices_month_newest_first"),
        ("o=-year", "ix_invoices_newest_first"),
        ("o=year", "ix_invoices_newest_first"),
    ):
        found = await plan(f"/api/invoices/?field=uuid&{query}")
        assert index in found, (query, found)
        if query and not query.startswith("o="):  # else all of them are counted
            assert "Seq Scan on invoices" not in found, (query, found)
    for query in ("", "state=pending", "month=5", "created=2021-03-01", "o=-created", "o=-month"):
        # What is shown of the page is sorted, ten rows; what leads there is read in order.
        found = await plan(f"/api/invoices/?field=uuid&{query}")
        assert found.count("Sort Key") <= 1, (query, found)
    assert "Seq Scan on invoices" not in await plan("/api/invoices/growth/")
