"""Affiliates of organizations, behind a setting: links, fees and earnings."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app import clock
from app.billing.periods import Period
from app.main import create_app
from app.settings import Settings
from tests.support.clients import BASE, client_of
from tests.support.factories import Factories, Row, UserRow

URL = "/api/customer-affiliates/"


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 5, tzinfo=UTC))


@pytest.fixture
async def affiliated(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings.model_copy(update={"customer_affiliates": True}))
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


def body_of(customer: Row, affiliate: Row, **values: Any) -> dict[str, Any]:
    return {
        "customer": f"{BASE}/api/customers/{customer.uuid}/",
        "affiliate": f"{BASE}/api/customers/{affiliate.uuid}/",
        **values,
    }


async def test_nothing_is_found_unless_affiliates_are_switched_on(
    make: Factories, client: httpx.AsyncClient, staff: UserRow
) -> None:
    link = await make.affiliate(await make.customer(), await make.customer())
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        *((method, f"{link.uuid}/") for method in ("GET", "PUT", "PATCH", "DELETE")),
        ("GET", f"{link.uuid}/accruals/"),
        ("GET", f"{link.uuid}/earnings/"),
    ):
        for headers in (staff.headers, {}):
            answer = await client.request(method, URL + path, headers=headers)
            assert answer.status_code == 404, (method, path)


async def test_staff_link_and_unlink_organizations(
    make: Factories, affiliated: httpx.AsyncClient, staff: UserRow
) -> None:
    customer, affiliate = await make.customer(), await make.customer(name="Seller")
    body = body_of(customer, affiliate, fee_percent="12.5", start_date="2026-01-01")
    answer = await affiliated.post(URL, json=body, headers=staff.headers)
    assert answer.status_code == 201, answer.text
    shown = {
        "affiliate_name": "Seller",
        "fee_percent": "12.50000",
        "is_active": True,
        "start_date": "2026-01-01",
        "end_date": None,
        "total_earned": 0.0,
    }
    assert {name: answer.json()[name] for name in shown} == shown
    url = f"{URL}{answer.json()['uuid']}/"
    changed = await affiliated.patch(url, json={"is_active": False}, headers=staff.headers)
    assert changed.json()["is_active"] is False
    assert len((await affiliated.get(f"{URL}?affiliate_name=sell", headers=staff.headers)).json())
    assert (await affiliated.delete(url, headers=staff.headers)).status_code == 204


async def test_a_broken_rule_is_refused(
    make: Factories, affiliated: httpx.AsyncClient, staff: UserRow
) -> None:
    customer, first, second = [await make.customer() for _ in range(3)]
    await make.affiliate(customer, first)
    for body, field in (
        (body_of(second, second), "affiliate"),
        (body_of(customer, first, is_active=False), "non_field_errors"),
        (body_of(customer, second), "non_field_errors"),
        (body_of(second, first, fee_percent="100.1"), "fee_percent"),
        (body_of(second, first, start_date="2026-02-01", end_date="2026-02-01"), "end_date"),
    ):
        answer = await affiliated.post(URL, json=body, headers=staff.headers)
        assert (answer.status_code, list(answer.json())) == (400, [field]), answer.text
    body = body_of(customer, second, is_active=False)
    answer = await affiliated.post(URL, json=body, headers=staff.headers)
    assert answer.status_code == 201


async def test_fees_are_of_a_link_that_matches_the_filters(
    make: Factories, affiliated: httpx.AsyncClient, staff: UserRow
) -> None:
    customer, affiliate = await make.customer(name="Buyer"), await make.customer(name="Seller")
    link = await make.affiliate(customer, affiliate)
    for month, amount in ((9, "1"), (10, "2")):
        invoice = await make.invoice(customer, Period(2026, month))
        await make.fee_accrual(link, invoice, amount=Decimal(amount))
    url = f"{URL}{link.uuid}/accruals/"
    for query in (
        "affiliate_name=SELL",
        f"affiliate_uuid={affiliate.uuid}",
        "customer_name=buy",
        f"customer_uuid={customer.uuid}",
        "is_active=true",
    ):
        answer = await affiliated.get(f"{url}?{query}&o=created", headers=staff.headers)
        assert [fee["amount"] for fee in answer.json()] == ["2.00000", "1.00000"], query
    for query in ("affiliate_name=buy", f"customer_uuid={affiliate.uuid}", "is_active=false"):
        answer = await affiliated.get(f"{url}?{query}", headers=staff.headers)
        assert answer.status_code == 404, query
    answer = await affiliated.get(f"{url}?o=amount", headers=staff.headers)
    assert (answer.status_code, list(answer.json())) == (400, ["o"])


async def test_owners_of_the_affiliate_read_their_fees(
    make: Factories, affiliated: httpx.AsyncClient, staff: UserRow
) -> None:
    customer, affiliate = await make.customer(name="Buyer"), await make.customer()
    link = await make.affiliate(customer, affiliate)
    credit = await make.credit(affiliate, "4")
    await make.credit_transaction(
        customer_credit_uuid=credit.uuid, amount=Decimal(5), transaction_type="affiliate_fee"
    )
    for month, amount in ((9, "2"), (10, "3.5")):
        invoice = await make.invoice(customer, Period(2026, month))
        await make.fee_accrual(link, invoice, amount=Decimal(amount))
    owner = await make.owner(affiliate)
    (row,) = (await affiliated.get(URL, headers=owner.headers)).json()
    assert row["total_earned"] == 5.5
    fees = (await affiliated.get(f"{URL}{link.uuid}/accruals/", headers=owner.headers)).json()
    assert [(fee["invoice_month"], fee["amount"], fee["customer_name"]) for fee in fees] == [
        (10, "3.50000", "Buyer"),
        (9, "2.00000", "Buyer"),
    ]
    answer = await affiliated.get(f"{URL}{link.uuid}/earnings/", headers=owner.headers)
    assert answer.json() == {
        "total_earned": "5.50000",
        "withdrawable_balance": "4.00000",
        "per_month": [
            {"year": 2026, "month": 9, "amount": "2.00000"},
            {"year": 2026, "month": 10, "amount": "3.50000"},
        ],
    }
    url = f"{URL}{link.uuid}/"
    assert (await affiliated.delete(url, headers=staff.headers)).status_code == 409
    other = body_of(customer, await make.customer())
    assert (await affiliated.patch(url, json=other, headers=staff.headers)).status_code == 409
    same = body_of(customer, affiliate, is_active=False)
    assert (await affiliated.put(url, json=same, headers=staff.headers)).status_code == 200
    assert (await affiliated.patch(url, json={}, headers=owner.headers)).status_code == 403
    buyer = await make.owner(customer)
    for path in ("", "accruals/", "earnings/"):
        answer = await affiliated.get(f"{url}{path}", headers=buyer.headers)
        assert answer.status_code == 404


async def test_of_two_links_that_become_active_at_once_one_does(
    make: Factories, affiliated: httpx.AsyncClient, staff: UserRow
) -> None:
    customer = await make.customer()
    links = [
        await make.affiliate(customer, await make.customer(), is_active=False) for _ in range(2)
    ]
    for _ in range(5):
        answers = await asyncio.gather(
            *(
                affiliated.patch(
                    f"{URL}{link.uuid}/", json={"is_active": True}, headers=staff.headers
                )
                for link in links
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 400]
        for link in links:
            await affiliated.patch(
                f"{URL}{link.uuid}/", json={"is_active": False}, headers=staff.headers
            )


async def test_the_earnings_of_an_unknown_link_are_not_found(
    affiliated: httpx.AsyncClient, staff: UserRow
) -> None:
    answer = await affiliated.get(f"{URL}{uuid4()}/earnings/", headers=staff.headers)
    assert answer.json() == {"detail": "No CustomerAffiliate matches the given query."}
