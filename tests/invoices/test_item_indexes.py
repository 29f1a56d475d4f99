"""Among 60,000 items, indexes lead to the requested ones, and none is read for the count."""

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.factories import Factories, Row
from tests.support.plans import Plans

MANY = (
    """
INSERT INTO customers
    (uuid, name, default_tax_percent, accounting_start_date, archived, created_at)
SELECT gen_random_uuid(), 'Customer', 20, timestamptz '2020-01-01', false, timestamptz '2020-01-01'
FROM generate_series(1, 300)
    """,
    """
INSERT INTO projects (uuid, customer_id, name, is_removed, created_at)
SELECT gen_random_uuid(), id, 'Project', false, timestamptz '2020-01-01' FROM customers
    """,
    """
INSERT INTO invoices (uuid, customer_id, year, month, state, tax_percent, created)
SELECT gen_random_uuid(), id, year, month, 'pending', 20, make_date(year, month, 1)
FROM customers, generate_series(2025, 2026) AS year, generate_series(1, 10) AS month
    """,
    # The record of changes would take most of the time, and no request here reads it.
    "ALTER TABLE invoice_items DISABLE TRIGGER record_new",
    """
INSERT INTO invoice_items
    (uuid, invoice_id, name, unit_price, quantity, unit, start, "end", project_id, project_name)
SELECT gen_random_uuid(), invoices.id, 'Item', n, 1, 'quantity', created + time '00:00',
       created + time '01:00', projects.id, 'Project'
FROM invoices JOIN projects USING (customer_id), generate_series(1, 10) AS n
    """,
    "ALTER TABLE invoice_items ENABLE TRIGGER record_new",
    "VACUUM ANALYZE",
)
ITEMS, SOLD = "/api/invoice-items/", "/api/provider-invoice-items/"
STAFF = {
    ITEMS: 20,
    f"{ITEMS}?page=50": 1000,
    f"{ITEMS}?page=last": 20,
    f"{ITEMS}?customer_uuid={{customer}}": 500,
    f"{ITEMS}?project_uuid={{project}}": 500,
    f"{ITEMS}?project_uuid={{project}}&year=2026&month=3": 500,
    f"{ITEMS}total_price/?project_uuid={{project}}": 300,
    f"{ITEMS}costs/?project_uuid={{project}}": 300,
    f"{ITEMS}project_costs_for_period/?project_uuid={{project}}&period=4": 300,
    SOLD: 100,
    f"{SOLD}?project_uuid={{project}}": 500,
}
"""By the request, the items that a statement may read at most, for staff."""
OWN = (
    ITEMS, f"{ITEMS}?project_uuid={{project}}", f"{ITEMS}total_price/",
    f"{ITEMS}costs/?project_uuid={{project}}",
    f"{ITEMS}project_costs_for_period/?project_uuid={{project}}&period=4",
)  # fmt: skip
"""Requests of an owner and of a member of a project."""


async def test_indexes_lead_to_the_requested_items(
    app: FastAPI, client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
) -> None:
    for statement in MANY:
        await connection.execute(text(statement))
    found = text(
        "SELECT projects.id, projects.uuid, customers.id AS customer_id, customers.uuid AS customer"
        " FROM projects JOIN customers ON customers.id = customer_id LIMIT 1"
    )
    row = (await connection.execute(found)).one()
    owner = await make.owner(Row(row.customer_id, row.customer))
    member = await make.member(Row(row.id, row.uuid))
    staff = await make.staff()
    plans = Plans(app, client, connection, ("invoice_items",))
    for path, most in STAFF.items():
        await plans.check(path.format(project=row.uuid, customer=row.customer), staff, most)
    for path in OWN:
        for user in (owner, member):
            await plans.check(path.format(project=row.uuid), user, 1000)
    assert not plans.faults, "\n".join(plans.faults)
