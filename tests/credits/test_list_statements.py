"""The statements of the lists below one credit or affiliate."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.settings import Settings
from tests.support.factories import Factories, Row

MAX_STATEMENTS = 4
"""Of a page, authentication included."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with which affiliates are served."""
    return settings.model_copy(update={"customer_affiliates": True})


async def consumptions(make: Factories) -> tuple[str, Callable[[Row], Awaitable[object]]]:
    """Return the path of a credit's consumptions, and a function that adds one."""
    credit = await make.credit(await make.customer())

    async def add(invoice: Row) -> None:
        await make.item(invoice, "-1", credit=True, customer_credit_id=credit.id)

    return f"/api/customer-credits/{credit.uuid}/consumptions/", add


async def accruals(make: Factories) -> tuple[str, Callable[[Row], Awaitable[object]]]:
    """Return the path of an affiliate's fees, and a function that adds one."""
    link = await make.affiliate(await make.customer(), await make.customer())

    async def add(invoice: Row) -> None:
        await make.fee_accrual(link, invoice)

    return f"/api/customer-affiliates/{link.uuid}/accruals/", add


@pytest.mark.parametrize("records", [consumptions, accruals])
async def test_a_page_takes_as_many_statements_for_one_row_as_for_100(
    records: Any, client: httpx.AsyncClient, make: Factories, statements: list[str]
) -> None:
    headers = (await make.staff()).headers
    path, add = await records(make)
    customer, counts = await make.customer(), []
    for months in (range(1), range(1, 100)):
        for month in months:
            period = Period(2026, 10).shifted(-month)
            await add(await make.invoice(customer, period, InvoiceState.CREATED))
        client._transport.app.state.token_cache.clear()  # type: ignore[attr-defined]
        statements.clear()
        answer = await client.get(path, params={"page_size": 100}, headers=headers)
        assert len(answer.json()) == months[-1] + 1
        counts.append(len(statements))
    assert counts[0] == counts[1] <= MAX_STATEMENTS
