"""Financial reports: cost of a month, payment profiles, filters, orders, access."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app import clock
from app.billing.enums import BillingUnit, CustomerRoleName
from app.billing.periods import Period
from tests.support.clients import BASE
from tests.support.factories import Factories

URL = "/api/financial-reports/"
OCTOBER = "year=2026&month=10"
NOW = datetime(2026, 10, 11, 12, tzinfo=UTC)


@pytest.fixture
async def names(client: httpx.AsyncClient, make: Factories) -> Any:
    staff = await make.staff()

    async def find(query: str = "", headers: dict[str, str] = staff.headers) -> list[str]:
        answer = await client.get(f"{URL}?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [row["name"] for row in answer.json()]

    return find


@pytest.fixture
async def estimate(client: httpx.AsyncClient, make: Factories) -> Any:
    staff = await make.staff()

    async def find(customer: Any, query: str = OCTOBER) -> dict[str, float]:
        answer = await client.get(f"{URL}{customer.uuid}/?{query}", headers=staff.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, float] = answer.json()["billing_price_estimate"]
        return found

    return find


async def test_a_report_shows_the_customer_its_profiles_and_the_cost_of_the_month(
    client: httpx.AsyncClient, make: Factories
) -> None:
    customer = await make.customer(name="Ülikool", abbreviation="ÜK", registration_code="7")
    profile = await make.profile(customer, name="Contract", attributes={"contract_sum": 1})
    invoice = await make.invoice(customer, tax_percent=Decimal("22.50"))
    await make.item(invoice, "10.01")
    headers = (await make.staff()).headers
    (row,) = (await client.get(f"{URL}?{OCTOBER}", headers=headers)).json()
    assert row == {
        "name": "Ülikool",
        "uuid": str(customer.uuid),
        "abbreviation": "ÜK",
        "created": "2024-01-01T00:00:00Z",
        "accounting_start_date": "2024-01-01T00:00:00Z",
        "registration_code": "7",
        "agreement_number": "",
        "payment_profiles": [
            {
                "uuid": str(profile.uuid),
                "url": f"{BASE}/api/payment-profiles/{profile.uuid}/",
                "name": "Contract",
                "organization_uuid": str(customer.uuid),
                "organization": f"{BASE}/api/customers/{customer.uuid}/",
                "attributes": {"contract_sum": "1"},
                "payment_type": "invoices",
                "payment_type_display": "Monthly invoices",
                "is_active": True,
            }
        ],
        "billing_price_estimate": {
            "total": 10.01,
            "current": 10.01,
            "tax": 2.25225,  # not rounded
            "tax_current": 2.25225,
        },
    }
    one = await client.get(f"{URL}{customer.uuid}/?{OCTOBER}", headers=headers)
    assert one.json() == row


async def test_hourly_and_daily_items_count_up_to_now(
    make: Factories, estimate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    customer = await make.customer()
    invoice = await make.invoice(customer, tax_percent=Decimal(0))
    month = Period(2026, 10)
    for unit, quantity, start in (
        (BillingUnit.HOUR, 744, month.start),  # 252 of 744 hours
        (BillingUnit.DAY, 31 * 8, month.start),  # 11 of 31 days, of a limit of 8
        (BillingUnit.DAY, 5, NOW + timedelta(days=5)),  # not begun
        (BillingUnit.MONTH, 1, month.start),
        (BillingUnit.QUANTITY, 3, month.start),
    ):
        await make.item(invoice, "1", unit=unit, quantity=quantity, start=start, end=month.end)
    found = await estimate(customer, "")
    assert found["total"] == 744 + 248 + 5 + 1 + 3
    assert found["current"] == pytest.approx(252 + 88 + 0 + 1 + 3, abs=1e-9)


async def test_a_customer_without_an_invoice_costs_nothing_and_comes_last(
    make: Factories, names: Any, estimate: Any
) -> None:
    for name, price in (("a", None), ("b", "5"), ("c", "7")):
        customer = await make.customer(name=name)
        if price:
            await make.item(await make.invoice(customer), price)
        else:
            assert set((await estimate(customer)).values()) == {0}
    for order in ("estimated_cost", "total_cost"):
        assert await names(f"{OCTOBER}&o={order}") == ["b", "c", "a"]
        assert await names(f"{OCTOBER}&o=-{order}") == ["c", "b", "a"]
    assert await names() == ["a", "b", "c"]


async def test_the_month_is_the_running_one_unless_year_and_month_are_given(
    make: Factories, estimate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    customer = await make.customer()
    await make.item(await make.invoice(customer), "5")
    for query in ("", "year=2025", "month=9", "year=x&month=9"):
        assert (await estimate(customer, query))["total"] == 5
    for query in ("year=2026&month=9", "year=2026&month=13", "year=999999999&month=10"):
        assert (await estimate(customer, query))["total"] == 0


async def test_a_provider_narrows_the_cost_and_not_the_customers(
    make: Factories, names: Any, estimate: Any
) -> None:
    customer, seller = await make.customer(name="a"), await make.customer(name="b")
    provider = await make.service_provider(seller)
    offering = await make.offering(seller)
    resource = await make.resource(await make.project(customer), offering)
    invoice = await make.invoice(customer)
    await make.item(invoice, "1", resource_id=resource.id)
    await make.item(invoice, "2", offering_id=offering.id)
    await make.item(invoice, "4")
    for uuid in (seller.uuid, provider.uuid):
        found = await estimate(customer, f"{OCTOBER}&provider_uuid={uuid}")
        assert (found["total"], found["current"]) == (3, 3)
        assert found["tax"] == pytest.approx(0.6)
        assert await names(f"{OCTOBER}&provider_uuid={uuid}") == ["a", "b"]
    assert (await estimate(customer))["total"] == 7


async def test_each_filter_finds_its_customers(make: Factories, names: Any) -> None:
    first = await make.customer(
        name="Alpha 100%",
        native_name="Алфа",
        abbreviation="ALP",
        contact_details="Street 1",
        registration_code="R1",
        agreement_number="A/1",
        backend_id="b-1",
        slug="alpha",
    )
    await make.customer(
        name="Beta", archived=True, accounting_start_date=clock.now() + timedelta(days=9)
    )
    group = await make.organization_group(first, name="Universities")
    for query in (
        "abbreviation=alp",
        "accounting_is_running=true",
        "agreement_number=A/1",
        "archived=false",
        "backend_id=b-1",
        "contact_details=STREET",
        f"customer_uuid={first.uuid}",
        "name=100%25",
        "name_exact=Alpha%20100%25",
        "native_name=алф",
        "organization_group_name=versit",
        f"organization_group_uuid={group.uuid}&organization_group_uuid={first.uuid.hex}",
        "query=алфа",
        "query=r1",
        f"query={first.uuid.hex}",
        "registration_code=R1",
        "slug=alpha",
    ):
        assert await names(query) == ["Alpha 100%"], query
    for query in ("archived=true", "accounting_is_running=false"):
        assert await names(query) == ["Beta"], query
    for query in ("name_exact=beta", "registration_code=r", "slug=al", "query=%25%25"):
        assert await names(query) == [], query
    assert await names("query=&name=&archived=") == ["Alpha 100%", "Beta"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("archived=x", "archived"),
        ("customer_uuid=x", "customer_uuid"),
        ("organization_group_uuid=", "organization_group_uuid"),
        ("provider_uuid=x", "provider_uuid"),
        ("o=uuid", "o"),
    ],
)
async def test_an_invalid_filter_is_refused(
    client: httpx.AsyncClient, make: Factories, query: str, field: str
) -> None:
    answer = await client.get(f"{URL}?{query}", headers=(await make.staff()).headers)
    assert answer.status_code == 400
    assert set(answer.json()) == {field}


async def test_filters_by_the_callers_roles(make: Factories, names: Any) -> None:
    owned, managed = await make.customer(name="a"), await make.customer(name="b")
    user = await make.user()
    await make.role(user, owned)
    await make.role(user, managed, role=CustomerRoleName.MANAGER)
    assert await names("", user.headers) == ["a", "b"]
    for query in (
        "owned_by_current_user=true",
        "current_user_has_project_create_permission=true",
        "current_user_has_role=CUSTOMER.OWNER",
    ):
        assert await names(query, user.headers) == ["a"], query
    assert await names("current_user_has_role=CUSTOMER.MANAGER", user.headers) == ["b"]
    assert await names("current_user_has_role=x", user.headers) == []
    assert await names("owned_by_current_user=false", user.headers) == ["a", "b"]
    # Staff hold no role, but may create projects anywhere.
    assert await names("owned_by_current_user=true") == []
    assert await names("current_user_has_project_create_permission=true") == ["a", "b"]


async def test_reports_and_profiles_are_shown_by_role(
    client: httpx.AsyncClient, make: Factories
) -> None:
    customer, other = await make.customer(name="a"), await make.customer(name="b")
    await make.profile(customer, name="new")
    await make.profile(customer, name="old", is_active=False)
    reader = await make.user()
    await make.role(reader, customer, role=CustomerRoleName.READER)
    member = await make.member(await make.project(customer))

    async def profiles(user: Any) -> Any:
        rows = (await client.get(URL, headers=user.headers)).json()
        return {
            row["name"]: row["payment_profiles"]
            and [profile["name"] for profile in row["payment_profiles"]]
            for row in rows
        }

    assert await profiles(await make.staff()) == {"a": ["new", "old"], "b": []}
    assert await profiles(await make.support()) == {"a": ["new", "old"], "b": []}
    assert await profiles(await make.owner(customer)) == {"a": ["new"]}
    assert await profiles(reader) == {"a": []}
    assert await profiles(member) == {}
    for user, hidden in ((reader, other), (member, customer)):
        answer = await client.get(f"{URL}{hidden.uuid}/", headers=user.headers)
        assert answer.status_code == 404
