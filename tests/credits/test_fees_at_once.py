"""An affiliate's first fee, while staff change credits."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.credits.models import CustomerCredit
from app.database.engine import Database
from app.invoices.actions.delete_credit import DeleteCredit, delete_credit
from app.invoices.actions.issue import IssueInvoice, issue
from app.settings import Settings
from tests.support.clients import BASE
from tests.support.factories import Factories, Row

URL = "/api/customer-credits/"


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))


@pytest.fixture
def affiliated(settings: Settings) -> Settings:
    return settings.model_copy(update={"customer_affiliates": True})


@pytest.fixture
async def affiliate(make: Factories) -> Row:
    return await make.customer()


@pytest.fixture
async def invoice(make: Factories, affiliate: Row) -> Row:
    """Return an invoice from which the affiliate earns a fee of 1."""
    customer = await make.customer()
    await make.affiliate(customer, affiliate)
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    return invoice


async def values_of(connection: AsyncConnection, customer: Row) -> list[Decimal]:
    statement = select(CustomerCredit.value).where(CustomerCredit.customer_id == customer.id)
    return list((await connection.execute(statement)).scalars())


async def test_a_credit_does_not_move_to_an_affiliate_that_gets_its_first_meanwhile(  # noqa: PLR0917
    make: Factories,
    client: httpx.AsyncClient,
    database: Database,
    affiliated: Settings,
    affiliate: Row,
    invoice: Row,
    connection: AsyncConnection,
) -> None:
    staff, credit = await make.staff(), await make.credit(await make.customer(), "50")
    body = {"customer": f"{BASE}/api/customers/{affiliate.uuid.hex}/"}
    async with database.transaction() as other:
        await issue(other, IssueInvoice(invoice.id), affiliated)
        waiting = asyncio.create_task(
            client.patch(f"{URL}{credit.uuid}/", json=body, headers=staff.headers)
        )
        await asyncio.sleep(0.2)
        assert not waiting.done()
    answer = await waiting
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["customer"]
    assert await values_of(connection, affiliate) == [1]


async def test_an_affiliate_whose_credit_is_deleted_meanwhile_gets_another(  # noqa: PLR0917
    make: Factories,
    database: Database,
    affiliated: Settings,
    affiliate: Row,
    invoice: Row,
    connection: AsyncConnection,
) -> None:
    credit = await make.credit(affiliate, "0")

    async def issue_invoice() -> None:
        async with database.transaction() as own:
            await issue(own, IssueInvoice(invoice.id), affiliated)

    async with database.transaction() as other:
        await delete_credit(other, DeleteCredit(credit.uuid))
        waiting = asyncio.create_task(issue_invoice())
        await asyncio.sleep(0.2)
        assert not waiting.done()
    await waiting
    assert await values_of(connection, affiliate) == [1]
