"""`If-Match` takes the locks of a change in the order in which others take them.

A request that holds a later lock while it waits for an earlier one would end in a deadlock with
another one. So while the earlier row is locked elsewhere, the later one is free.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from app import clock
from app.billing.periods import Period
from app.credits.models import CustomerCredit
from app.customers.models import Customer
from app.database.engine import Database
from app.invoices.models import Invoice
from tests.support.clients import BASE
from tests.support.factories import Factories, Row, UserRow
from tests.support.worker import until

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


class Conditional:
    """A conditional request of staff."""

    def __init__(self, client: httpx.AsyncClient, database: Database, staff: UserRow) -> None:
        self._client = client
        self._database = database
        self._headers = staff.headers | {"Accept-Encoding": "identity"}

    async def waits_for_the_first(
        self, table: Any, rows: tuple[Row, Row], path: str, **request: Any
    ) -> httpx.Response:
        """Send it while the first row is locked; the second one is free until it goes on."""
        first, second = (row.id for row in rows)
        record = "/".join(path.split("/")[:4]) + "/"
        etag = (await self._client.get(record, headers=self._headers)).headers["etag"]
        async with asyncio.TaskGroup() as requests, self._database.transaction() as other:
            await other.execute(select(table.id).where(table.id == first).with_for_update())
            sent = requests.create_task(
                self._client.request(
                    url=path, headers=self._headers | {"If-Match": etag}, **request
                )
            )
            await until(self._one_waits)
            free = select(table.id).where(table.id == second).with_for_update(nowait=True)
            await other.execute(free)
        return sent.result()

    async def _one_waits(self) -> bool:
        async with self._database.reading() as connection:
            return bool((await connection.execute(_WAITING)).scalar_one() == 1)


@pytest.fixture
def conditional(client: httpx.AsyncClient, database: Database, staff: UserRow) -> Conditional:
    return Conditional(client, database, staff)


async def test_a_move_of_a_profile_locks_the_older_organization_first(
    make: Factories, conditional: Conditional
) -> None:
    older, newer = await make.customer(), await make.customer()
    profile = await make.profile(newer)
    answer = await conditional.waits_for_the_first(
        Customer,
        (older, newer),
        f"/api/payment-profiles/{profile.uuid}/",
        method="PATCH",
        json={"organization": f"{BASE}/api/customers/{older.uuid}/"},
    )
    assert answer.status_code == 200, answer.text


async def test_a_move_of_an_item_locks_the_older_invoice_first(
    make: Factories, conditional: Conditional
) -> None:
    customer = await make.customer()
    older, newer = [await make.invoice(customer, Period(2026, month)) for month in (9, 10)]
    item = await make.item(newer)
    answer = await conditional.waits_for_the_first(
        Invoice,
        (older, newer),
        f"/api/invoice-items/{item.uuid}/migrate_to/",
        method="POST",
        json={"invoice": f"/api/invoices/{older.uuid}/"},
    )
    assert answer.status_code == 200, answer.text


async def test_a_change_of_a_credit_locks_the_older_credit_of_the_affiliate_first(
    make: Factories, conditional: Conditional
) -> None:
    affiliate, customer = await make.customer(), await make.customer()
    older, newer = await make.credit(affiliate), await make.credit(customer)
    await make.affiliate(customer, affiliate)
    answer = await conditional.waits_for_the_first(
        CustomerCredit,
        (older, newer),
        f"/api/customer-credits/{newer.uuid}/adjust_withdrawable/",
        method="POST",
        json={"amount": "5", "comment": "A gift"},
    )
    assert answer.status_code == 200, answer.text
