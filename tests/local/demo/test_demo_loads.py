"""The demonstration on a database of its own: on any day, and while its invoices are paid."""

from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.identity import tokens
from app.identity.models import User
from app.local.demo import load
from app.payments.models import Payment
from app.settings import Settings

TODAY = datetime(2026, 11, 17, 10, tzinfo=UTC)


async def test_every_invoice_to_be_paid_can_be_paid(
    client: httpx.AsyncClient,
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
) -> None:
    clock.freeze(TODAY)
    assert (await load(database, settings)).loaded
    user = await connection.scalar(select(User.id).where(User.username == "demo-staff"))
    assert user is not None
    key = await tokens.create(connection, user, name="", lifetime=None)
    client.headers["Authorization"] = f"Token {key}"
    listed = (await client.get("/api/invoices/?state=created&page_size=300")).json()
    assert len(listed) > 5
    for invoice in listed:
        paid = await client.post(f"{invoice['url']}paid/", data={"date": "2026-11-05"})
        assert (paid.status_code, paid.json()["state"]) == (200, "paid"), paid.text


@pytest.mark.parametrize(
    "moment",
    ["2027-01-01T00:00:00", "2028-02-29T12:00:00", "2026-03-31T23:59:59", "2027-12-31T05:00:00"],
)
async def test_it_can_be_loaded_on_any_day(
    moment: str, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    clock.freeze(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert (await load(database, settings)).loaded
    late = select(func.max(Payment.date_of_payment))
    assert (await connection.execute(late)).scalar_one() <= clock.today()
