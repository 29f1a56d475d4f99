"""Access control: which invoices a user sees in every read operation."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI

from app import clock
from app.billing.enums import CustomerRoleName
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row, UserRow

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
READS = ("", "items/", "stats/")


@pytest.fixture(autouse=True)
def _now() -> None:
    clock.freeze(NOW)


async def sees(client: httpx.AsyncClient, user: UserRow, invoice: Row) -> bool:
    """Return whether a user sees an invoice. All operations must agree."""
    listed = await client.get("/api/invoices/?field=uuid", headers=user.headers)
    is_listed = {"uuid": str(invoice.uuid)} in listed.json()
    counted = await client.head("/api/invoices/", headers=user.headers)
    assert counted.headers["x-result-count"] == str(len(listed.json()))
    for method in ("GET", "HEAD"):
        for path in READS:
            url = f"/api/invoices/{invoice.uuid}/{path}"
            answer = await client.request(method, url, headers=user.headers)
            assert answer.status_code == (200 if is_listed else 404), url
            if method == "GET" and not is_listed:
                assert answer.json() == {"detail": "No Invoice matches the given query."}
    growth = await client.get("/api/invoices/growth/", headers=user.headers)
    assert bool(growth.json()["customer_periods"]) == bool(listed.json())
    return is_listed


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer()


@pytest.fixture
async def invoice(make: Factories, customer: Row) -> Row:
    invoice = await make.invoice(customer)
    await make.item(invoice)
    return invoice


async def test_staff_and_support_see_everything(
    make: Factories, client: httpx.AsyncClient, customer: Row, invoice: Row
) -> None:
    await make.subnet(customer, "10.0.0.0/8")
    assert await sees(client, await make.staff(), invoice)
    assert await sees(client, await make.support(), invoice)
    assert not await sees(client, await make.user(), invoice)


@pytest.mark.parametrize("role", CustomerRoleName)
async def test_each_role_at_the_customer_gives_access(
    role: CustomerRoleName, make: Factories, client: httpx.AsyncClient, customer: Row, invoice: Row
) -> None:
    user = await make.user()
    other = await make.invoice(await make.customer())
    await make.role(user, customer, role=role)
    assert await sees(client, user, invoice)
    assert not await sees(client, user, other)


async def test_a_role_must_be_active_and_not_expired(
    make: Factories, client: httpx.AsyncClient, customer: Row, invoice: Row
) -> None:
    inactive, expired, ending, twice = [await make.user() for _ in range(4)]
    await make.role(inactive, customer, is_active=False)
    await make.role(expired, customer, expires_at=NOW)
    await make.role(ending, customer, expires_at=NOW + timedelta(seconds=1))
    await make.role(twice, customer, is_active=False)
    await make.role(twice, customer, role=CustomerRoleName.READER)
    await make.role(twice, customer, role=CustomerRoleName.OWNER)
    assert not await sees(client, inactive, invoice)
    assert not await sees(client, expired, invoice)
    assert await sees(client, ending, invoice)
    assert await sees(client, twice, invoice)  # once, although there are several roles
    clock.freeze(NOW + timedelta(seconds=1))
    assert not await sees(client, ending, invoice)


@pytest.mark.parametrize(
    ("networks", "address", "seen"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.0.0.0/8", "192.0.2.7/32"], "192.0.2.7", True),
        (["10.0.0.0/8", None], "11.1.2.3", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "10.1.2.3", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "unknown", False),
        ([None], "unknown", True),
        ([], "unknown", True),
    ],
)
async def test_an_access_subnet_restricts_the_clients_address(  # noqa: PLR0917 - pytest's fixtures
    networks: list[str | None],
    address: str,
    seen: bool,
    make: Factories,
    app: FastAPI,
    customer: Row,
    invoice: Row,
) -> None:
    for network in networks:
        await make.subnet(customer, network)
    owner = await make.owner(customer)
    async with client_of(app, address) as client:
        assert await sees(client, owner, invoice) is seen


async def test_the_address_is_taken_from_trusted_proxies_only(
    make: Factories, settings: Settings, customer: Row, invoice: Row
) -> None:
    await make.subnet(customer, "10.0.0.0/8")
    owner = await make.owner(customer)
    app = create_app(Settings(**{**settings.model_dump(), "trusted_proxies": "192.0.2.0/24"}))
    url = f"/api/invoices/{invoice.uuid}/?field=uuid"
    answers = {}
    async with app.router.lifespan_context(app):
        for peer, forwarded in [
            ("192.0.2.1", "10.1.1.1"),
            ("192.0.2.1", "10.1.1.1, 192.0.2.9"),
            ("192.0.2.1", "10.1.1.1, 8.8.8.8"),
            ("192.0.2.1", "not-an-ip"),
            ("8.8.8.8", "10.1.1.1"),
        ]:
            async with client_of(app, peer) as client:
                answer = await client.get(
                    url, headers={**owner.headers, "X-Forwarded-For": forwarded}
                )
            answers[peer, forwarded] = answer.status_code
    assert list(answers.values()) == [200, 200, 404, 404, 404]
