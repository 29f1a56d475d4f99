"""The sums of the invoices of a month: exact amounts, filters, access."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app import clock
from app.billing.enums import CustomerRoleName, InvoiceState, ProjectRoleName
from app.billing.periods import Period
from tests.support.factories import Factories

URL = "/api/billing-total-cost/"
OCTOBER = "year=2026&month=10"


@pytest.fixture
async def cost(client: httpx.AsyncClient, make: Factories) -> Any:
    support = await make.support()

    async def find(query: str = OCTOBER) -> tuple[float, float]:
        answer = await client.get(f"{URL}?{query}", headers=support.headers)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["total", "price"]
        return answer.json()["total"], answer.json()["price"]

    return find


async def test_the_invoices_of_a_month_are_summed_up_without_rounding(
    make: Factories, cost: Any
) -> None:
    first, second = await make.customer(name="Alpha"), await make.customer(name="Beta")
    await make.item(await make.invoice(first, tax_percent=Decimal("22.50")), "10.01")
    canceled = await make.invoice(second, state=InvoiceState.CANCELED, tax_percent=Decimal("7.77"))
    await make.item(canceled, "-0.01")
    await make.item(await make.invoice(first, Period(2026, 9)), "1000")
    # 10.01 * 1.225 - 0.01 * 1.0777
    assert await cost() == (12.251473, 10.0)
    assert await cost("year=2026&month=9") == (1200, 1000)
    assert await cost("year=2026&month=8") == (0, 0)
    assert await cost("year=2026&month=13") == await cost("year=99999&month=1") == (0, 0)
    assert await cost(f"{OCTOBER}&name=ALPH") == (12.26225, 10.01)
    assert await cost(f"{OCTOBER}&customer_uuid={second.uuid}") == (-0.010777, -0.01)


async def test_customers_whose_accounting_waits_are_told_apart(make: Factories, cost: Any) -> None:
    running = await make.customer()
    waiting = await make.customer(accounting_start_date=clock.now() + timedelta(days=1))
    await make.item(await make.invoice(running, tax_percent=Decimal(0)), "1")
    await make.item(await make.invoice(waiting, tax_percent=Decimal(0)), "2")
    assert await cost(f"{OCTOBER}&accounting_is_running=true") == (1, 1)
    assert await cost(f"{OCTOBER}&accounting_is_running=0") == (2, 2)


async def test_the_sums_are_of_the_running_month_without_a_whole_year_and_month(
    make: Factories, cost: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 10, 11, tzinfo=UTC))
    invoice = await make.invoice(await make.customer(), tax_percent=Decimal(0))
    await make.item(invoice, "5")
    for query in ("", "year=2025", "year=x&month=y"):
        assert await cost(query) == (5, 5)


@pytest.mark.parametrize("role", CustomerRoleName)
async def test_customer_roles_get_the_sums_of_their_own_organizations(
    client: httpx.AsyncClient, make: Factories, role: CustomerRoleName
) -> None:
    user = await make.user()
    own, other, foreign = [await make.customer(name="Alpha") for _ in range(3)]
    for customer, price in ((own, "1"), (other, "2"), (foreign, "4")):
        await make.item(await make.invoice(customer, tax_percent=Decimal(50)), price)
    await make.role(user, own, role=role)
    await make.role(user, other, role=role)

    async def find(query: str) -> Any:
        answer = await client.get(f"{URL}?{OCTOBER}{query}", headers=user.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert await find("") == await find("&name=alpha") == {"total": 4.5, "price": 3}
    assert await find(f"&customer_uuid={other.uuid}") == {"total": 3, "price": 2}
    assert await find(f"&customer_uuid={foreign.uuid}") == {"total": 0, "price": 0}


@pytest.mark.parametrize("role", ProjectRoleName)
async def test_project_roles_get_the_sums_of_nothing(
    client: httpx.AsyncClient, make: Factories, role: ProjectRoleName
) -> None:
    customer = await make.customer(display_billing_info_in_projects=True)
    project = await make.project(customer)
    await make.item(await make.invoice(customer), "1", project_id=project.id)
    user = await make.user()
    await make.project_role(user, project, role=role)
    answer = await client.get(f"{URL}?{OCTOBER}", headers=user.headers)
    assert (answer.status_code, answer.json()) == (200, {"total": 0, "price": 0})


async def test_the_sums_need_a_token_and_support_head(
    client: httpx.AsyncClient, make: Factories
) -> None:
    assert (await client.get(URL)).status_code == 401
    staff = await make.staff()
    get = await client.get(URL, headers=staff.headers)
    head = await client.head(URL, headers=staff.headers)
    assert (get.status_code, head.status_code, head.content) == (200, 200, b"")
