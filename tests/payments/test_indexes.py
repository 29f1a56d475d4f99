"""Among 50,000 payments, an index leads to the requested ones, and none is read for the count."""

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.factories import Factories
from tests.support.plans import Plans

MANY = (
    """
INSERT INTO customers
    (uuid, name, default_tax_percent, accounting_start_date, archived, created_at)
SELECT gen_random_uuid(), 'Customer', 20, timestamptz '2020-01-01', false, timestamptz '2020-01-01'
FROM generate_series(1, 500)
    """,
    """
INSERT INTO payment_profiles (uuid, customer_id, payment_type, is_active)
SELECT gen_random_uuid(), id, 'invoices', true FROM customers
    """,
    # The records of changes would take most of the time, and no request here reads them.
    "ALTER TABLE payments DISABLE TRIGGER record_new, DISABLE TRIGGER record_new_subjects",
    """
INSERT INTO payments (uuid, profile_id, date_of_payment, sum, created_at)
SELECT gen_random_uuid(), id, date '2026-01-01' + n, n, timestamptz '2026-01-01'
FROM payment_profiles, generate_series(1, 100) AS n
    """,
    "ALTER TABLE payments ENABLE TRIGGER record_new, ENABLE TRIGGER record_new_subjects",
    "VACUUM ANALYZE",
)
STAFF = {
    "": 20,
    "page=50": 1000,
    "page=last": 20,
    "page_size=300&page=last": 600,
    "date_of_payment=2026-02-01": 1100,
    "profile_uuid={profile}": 200,
    "profile=http://testserver/api/payment-profiles/{profile}/&date_of_payment=2026-02-01": 200,
    "profile=nothing": 0,
}
"""By the query, the payments that a statement may read at most, for staff."""


async def test_an_index_leads_to_the_requested_payments(
    app: FastAPI, client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
) -> None:
    for statement in MANY:
        await connection.execute(text(statement))
    found = text("SELECT customer_id, uuid FROM payment_profiles LIMIT 1")
    profile = (await connection.execute(found)).one()
    staff, owner = await make.staff(), await make.user()
    await connection.execute(
        text(
            "INSERT INTO customer_roles (uuid, user_id, customer_id, role, is_active, created_at)"
            " VALUES (gen_random_uuid(), :user, :customer, 'owner', true, now())"
        ),
        {"user": owner.id, "customer": profile.customer_id},
    )
    plans = Plans(app, client, connection, ("payments",))
    for query, most in STAFF.items():
        requested = query.format(profile=profile.uuid)
        await plans.check(f"/api/payments/?{requested}", staff, most)
        if "page=50" not in query:
            await plans.check(f"/api/payments/?{requested}", owner, 300)
    assert not plans.faults, "\n".join(plans.faults)
