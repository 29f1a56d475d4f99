"""Among fifty thousand invoices, an index leads to the requested rows, and to few others."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.invoices.jobs.summaries import advance_year_totals
from tests.support.factories import Factories, Row
from tests.support.plans import Plans

MANY = (
    """
INSERT INTO customers
    (uuid, name, default_tax_percent, accounting_start_date, archived, created_at)
SELECT gen_random_uuid(), 'Customer', 20,
       CASE WHEN n % 150 = 0 THEN timestamptz '2999-01-01' ELSE timestamptz '2020-01-01' END,
       false, timestamptz '2020-01-01'
FROM generate_series(1, 500) AS n
    """,
    """
INSERT INTO users
    (uuid, username, full_name, email, is_staff, is_support, is_active, created_at)
SELECT gen_random_uuid(), id, '', '', false, false, true, created_at FROM customers
    """,
    """
INSERT INTO customer_roles (uuid, user_id, customer_id, role, is_active, created_at)
SELECT gen_random_uuid(), users.id, customers.id, 'owner', true, users.created_at
FROM users JOIN customers ON customers.id::text = username
    """,
    # The record of changes would take half of the time, and no request here reads it.
    "ALTER TABLE invoices DISABLE TRIGGER record_new",
    # From January 2018 to April 2026; sums of up to 1,200, of which three are large.
    """
INSERT INTO invoices
    (uuid, customer_id, year, month, state, tax_percent, created, total_price)
SELECT gen_random_uuid(), id, 2018 + m / 12, 1 + m % 12,
       CASE WHEN m = 99 THEN 'pending' WHEN m = 98 THEN 'created' ELSE 'paid' END,
       20, make_date(2018 + m / 12, 1 + m % 12, 1),
       CASE WHEN m = 50 AND id % 200 = 1 THEN 100000 ELSE (m * 37 + id) % 1000 END
FROM customers, generate_series(0, 99) AS m
ORDER BY m
    """,
    "ALTER TABLE invoices ENABLE TRIGGER record_new",
    # Their prices are counted above; the triggers would take half a minute.
    "ALTER TABLE invoice_items DISABLE TRIGGER USER",
    """
INSERT INTO invoice_items
    (uuid, invoice_id, name, unit_price, quantity, price, unit, start, "end", details)
SELECT gen_random_uuid(), id, 'Item', total_price, 1, total_price, 'hour', created, created, '{}'
FROM invoices
    """,
    "ALTER TABLE invoice_items ENABLE TRIGGER USER",
    "INSERT INTO row_counts (counted_table, number) SELECT 'invoice_items', 50000",
)
TODAY = datetime(2026, 4, 15, tzinfo=UTC)

FEW = 1500
"""Rows that a statement may read at most where nothing else is said: a page, and those skipped."""

ORDERS = ("-created", "created", "-month", "month", "-year", "year", "month,year", "created,-month")
PRESORTED = 8500
"""The rows of a month of all years, or of a year; within them the order has to be made."""

# By the query, the rows that a statement may read at most, for staff.
STAFF: dict[str, int] = {
    "": FEW,
    "state=pending": FEW,
    "state=paid": 2100,  # newer ones are not paid
    "state=pending&state=created": 2100,
    "year=2021": FEW,
    "month=5": FEW,
    "state=paid&year=2021&month=5": 2100,
    "created=2021-03-01": 1100,
    "start_date=2026-03-30": 1100,
    "end_date=2018-02-02": 2100,
    "start_date=2020-01-02&end_date=2020-03-01": 1100,
    "customer_uuid={customer}": 200,
    "customer=http://testserver/api/customers/{customer}/&state=paid": 200,
    "customer_uuid={customer}&year=2020&month=5": 20,
    "accounting_is_running=true": FEW,
    "accounting_is_running=false": 400,
    "min_sum=1201": 20,
    "min_sum=1198.8": 200,
    "max_sum=0": 300,
    "min_sum=600&max_sum=600.5": 300,
    "min_sum=1201&state=paid": 20,
    "min_sum=1201&year=2022": 20,
    "page=100": FEW,
    "page=101": FEW,
    "page=2500": 25_100,  # the middle, in an index only
    "page=last": FEW,
    "page_size=300&page=last": FEW,
    "state=paid&page=last": FEW,
    "customer_uuid={customer}&page=last": 200,
    "start_date=2026-03-30&page=last": 1100,
    "end_date=2018-02-02&page=last": 2100,
    "min_sum=1201&page=last": 20,
    "accounting_is_running=false&page=last": 400,
    "accounting_is_running=true&page=last": FEW,
    **{f"o={order}": PRESORTED for order in ORDERS},
    **{f"o={order}&page=100": PRESORTED for order in ORDERS},
    **{f"o={order}&page=last": PRESORTED for order in ORDERS},
    **{f"o={order}&min_sum=1201": 20 for order in ORDERS},
}
GROWTH = ("", "accounting_is_running=true", "accounting_is_running=false", "customers_count=20")


@pytest.fixture
async def customer(connection: AsyncConnection, database: Database) -> Row:
    """Make the many; return one of the customers."""
    clock.freeze(TODAY)
    for statement in MANY:
        await connection.execute(text(statement))
    await advance_year_totals(database)
    found = (await connection.execute(text("SELECT id, uuid FROM customers LIMIT 1"))).one()
    return Row(found.id, found.uuid)


async def test_an_index_leads_to_the_requested_rows(
    app: FastAPI,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    make: Factories,
    customer: Row,
) -> None:
    staff, owner = await make.staff(), await make.user()
    for number in range(3):
        await make.role(owner, Row(customer.id + number, customer.uuid))
    await connection.execute(text("VACUUM ANALYZE"))
    plans = Plans(app, client, connection, ("invoices", "invoice_items"))
    for query, most in STAFF.items():
        asked = query.format(customer=customer.uuid)
        await plans.check(f"/api/invoices/?{asked}", staff, most)
        if "page=100" not in query and "page=101" not in query and "page=2500" not in query:
            # Whatever they ask for, of their 300 invoices.
            await plans.check(f"/api/invoices/?{asked}", owner, 300)
    for query in ("", "page=20", "page=last", "page_size=300&page=last"):
        await plans.check(f"/api/invoice-items/?{query}", staff, FEW)
        await plans.check(f"/api/invoice-items/?{query}", owner, 300)
    found = text("SELECT uuid FROM invoices WHERE customer_id = :id ORDER BY id LIMIT 1")
    uuid = (await connection.execute(found, {"id": customer.id})).scalar_one()
    for user in (staff, owner):
        for path in ("", "items/", "stats/", "?year=2018&max_sum=5000"):
            await plans.check(f"/api/invoices/{uuid}/{path}", user, 5)
        for query in GROWTH:
            await plans.check(f"/api/invoices/growth/?{query}", user, 300)
    clock.freeze(TODAY + timedelta(days=1))
    for query in GROWTH:  # before the sums are brought forward, of the invoices of a year
        await plans.check(f"/api/invoices/growth/?{query}", staff, 6000)
    assert not plans.faults, "\n".join(plans.faults)
