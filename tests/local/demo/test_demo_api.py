"""The demonstration as the API shows it to its owner."""

from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.customers.models import Customer
from app.database.engine import Database
from app.identity import tokens
from app.identity.models import User
from app.local.demo import load
from app.local.demo.loading import OWNER
from app.settings import Settings


async def test_the_owner_sees_invoices_of_both_organizations(
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
    client: httpx.AsyncClient,
) -> None:
    clock.freeze(datetime(2026, 11, 17, 10, tzinfo=UTC))
    await load(database, settings)
    owner = (await connection.execute(select(User.id).where(User.username == OWNER))).scalar_one()
    key = await tokens.create(connection, owner, name="test", lifetime=timedelta(days=1))
    client.headers["Authorization"] = f"Token {key}"
    answer = await client.get(
        "/api/invoices/", params={"page_size": 50, "field": "customer_details"}
    )
    names = {invoice["customer_details"]["name"] for invoice in answer.json()}
    assert names == {"Tammelinna Ülikool", "Sjávargögn Hólmavogur ehf."}
    customer = (
        await connection.execute(select(Customer.uuid).where(Customer.name.like("Tammelinna%")))
    ).scalar_one()
    query = f"customer_uuid={customer}&year=2026&month=9"
    (invoice,) = (await client.get(f"/api/invoices/?{query}")).json()
    assert len(invoice["items"]) >= 400
    compensations = [item for item in invoice["items"] if item["credit"]]
    assert compensations
    assert invoice["compensations"] == sum(item["price"] for item in compensations)
    assert {"usage", "limit"} <= {item.get("billing_type") for item in invoice["items"]}
    stats = (await client.get(f"/api/invoices/{invoice['uuid']}/stats/")).json()
    assert {row["offering_name"] for row in stats} >= {"Fjordlys HPC", "Virmalis vServer"}
