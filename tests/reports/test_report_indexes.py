"""Among many customers, indexes lead to those of a page and to their invoices."""

from datetime import UTC, datetime

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from tests.support.factories import Factories
from tests.support.plans import Plans

MANY = (
    """
INSERT INTO customers
    (uuid, name, default_tax_percent, accounting_start_date, archived, created_at)
SELECT gen_random_uuid(), 'Customer ' || n, 20,
       CASE WHEN n % 1000 = 0 THEN timestamptz '2999-01-01' ELSE timestamptz '2020-01-01' END,
       false, timestamptz '2020-01-01'
FROM generate_series(1, 20000) AS n
    """,
    """
INSERT INTO invoices (uuid, customer_id, year, month, state, tax_percent, created)
SELECT gen_random_uuid(), id, 2026, m, 'pending', 20, make_date(2026, m, 1)
FROM customers, generate_series(3, 4) AS m
    """,
    "VACUUM ANALYZE",
)
STAFF = {
    "": 20,
    "page=50": 520,
    "page=last": 20,
    "accounting_is_running=true": 50,
    "page=100&page_size=100": 10_100,
    "year=2026&month=3": 20,
}
"""By the query, the customers or invoices that a statement may read at most."""


async def test_indexes_lead_to_the_reports_of_a_page(
    app: FastAPI, client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
) -> None:
    clock.freeze(datetime(2026, 4, 15, tzinfo=UTC))
    for statement in MANY:
        await connection.execute(text(statement))
    staff = await make.staff()
    plans = Plans(app, client, connection, ("customers", "invoices"))
    for query, most in STAFF.items():
        await plans.check(f"/api/financial-reports/?{query}", staff, most)
    assert not plans.faults, "\n".join(plans.faults)
