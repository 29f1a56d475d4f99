"""The records of an import by an earlier version are known again after the migrations."""

import asyncio
from uuid import uuid4, uuid5

from sqlalchemy import text

from app.billing.periods import Period
from app.database.engine import Database
from app.settings import Settings
from tests.support.databases import migrate
from tests.support.former_factories import FormerFactories

NAMESPACE = uuid4()


async def test_customers_of_earlier_imports_are_marked(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0005")
    database = Database(Settings(database_url=empty_database_url))
    async with database.transaction() as connection:
        make = FormerFactories(connection)
        account = await make.customer(name="account", uuid=uuid5(NAMESPACE, "account"))
        await make.invoice(account, Period(2026, 9), source="focus")
        seller = await make.customer(name="seller", uuid=uuid5(NAMESPACE, "seller"))
        await make.offering(seller, type="FOCUS")
        ours = await make.customer(name="ours", uuid=uuid5(NAMESPACE, "ours"))
        await make.invoice(ours, Period(2026, 9))
        await make.offering(ours, type="Support")
        moved = await make.customer(name="moved", uuid=uuid4())
        await make.invoice(moved, Period(2026, 9), source="focus")
    await asyncio.to_thread(migrate, empty_database_url)
    async with database.reading() as connection:
        marked = text("SELECT name FROM customers WHERE source = 'focus' ORDER BY 1")
        assert list((await connection.execute(marked)).scalars()) == ["account", "seller"]
    await database.close()
