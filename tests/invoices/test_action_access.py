"""The roles that may change invoices, and the order of a request's checks."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.deliveries.models import Delivery
from app.invoices.models import Invoice
from app.payments.models import Payment
from tests.support.factories import Factories, Row

ACTIONS = {
    "paid": {"date": "2026-11-05"},
    "send_notification": {},
    "set_backend_id": {"backend_id": "new"},
    "set_payment_url": {"payment_url": "https://example.com/"},
    "set_reference_number": {"reference_number": "new"},
}
DENIED = {"detail": "You do not have permission to perform this action."}
NO_INVOICE = {"detail": "No Invoice matches the given query."}
JSON = {"Content-Type": "application/json"}
MALFORMED: dict[str, Any] = {"content": b"{bad", "headers": JSON}


@pytest.fixture
async def customer(make: Factories) -> Row:
    customer = await make.customer()
    await make.profile(customer)
    return customer


@pytest.fixture
async def invoice(make: Factories, customer: Row) -> Row:
    return await make.invoice(customer, state=InvoiceState.CREATED)


async def post(
    client: httpx.AsyncClient, uuid: object, action: str, token: dict[str, str], **body: Any
) -> httpx.Response:
    headers = token | body.get("headers", {})
    return await client.post(f"/api/invoices/{uuid}/{action}/", **body | {"headers": headers})


async def untouched(connection: AsyncConnection, invoice: Row) -> bool:
    statement = select(
        Invoice.state,
        Invoice.backend_id + Invoice.payment_url + Invoice.reference_number,
        select(func.count()).select_from(Payment).scalar_subquery(),
        select(func.count()).select_from(Delivery).scalar_subquery(),
    ).where(Invoice.id == invoice.id)
    return tuple((await connection.execute(statement)).one()) == ("created", "", 0, 0)


@pytest.mark.parametrize("action", ACTIONS)
async def test_only_staff_may_act(
    *,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    make: Factories,
    customer: Row,
    invoice: Row,
    action: str,
) -> None:
    strangers = [
        await make.owner(await make.customer()),  # of another customer
        await make.owner(customer),
        await make.user(),
        await make.support(),
    ]
    for user in strangers:
        for uuid in (invoice.uuid, uuid4(), "malformed"):
            for body in ({"json": ACTIONS[action]}, {}, MALFORMED):
                answer = await post(client, uuid, action, user.headers, **body)
                assert (answer.status_code, answer.json()) == (403, DENIED)
        answer = await post(client, invoice.uuid, f"{action}/?state=bogus&x=", user.headers)
        assert answer.status_code == 403
    for headers in ({}, {"Authorization": "Token no-such-key"}):
        answer = await post(client, invoice.uuid, action, headers, json=ACTIONS[action])
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Token"
    assert await untouched(connection, invoice)


@pytest.mark.parametrize("action", ACTIONS)
async def test_staff_who_is_also_support_may_act(
    client: httpx.AsyncClient, make: Factories, invoice: Row, action: str
) -> None:
    headers = (await make.user(is_staff=True, is_support=True)).headers
    answer = await post(client, invoice.uuid.hex.upper(), action, headers, json=ACTIONS[action])
    assert answer.status_code == 200


@pytest.mark.parametrize("action", ACTIONS)
async def test_parameters_come_before_the_invoice_and_that_before_the_body(
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    make: Factories,
    invoice: Row,
    action: str,
) -> None:
    headers = (await make.staff()).headers
    for uuid in (invoice.uuid, uuid4(), "malformed"):
        answer = await post(client, uuid, f"{action}/?state=bogus&created=abc&x=", headers)
        assert answer.status_code == 400
        assert answer.json() == {
            "created": ["Enter a valid date."],
            "state": ["Select a valid choice. bogus is not one of the available choices."],
        }
    for query in (
        f"{invoice.uuid}/{action}/?state=pending",
        f"{uuid4()}/{action}/",
        f"x/{action}/",
    ):
        answer = await client.post(
            f"/api/invoices/{query}", content=b"{bad", headers=headers | JSON
        )
        assert (answer.status_code, answer.json()) == (404, NO_INVOICE)
    assert (
        await post(client, invoice.uuid, f"{action}/?format=xml&x=", headers)
    ).status_code == 404
    assert await untouched(connection, invoice)
    answer = await client.post(
        f"/api/invoices/{invoice.uuid}/{action}/?state=created&format=json",
        headers=headers,
        json=ACTIONS[action],
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("action", ACTIONS)
async def test_other_methods(
    client: httpx.AsyncClient, make: Factories, invoice: Row, action: str
) -> None:
    headers = (await make.staff()).headers
    path = f"/api/invoices/{invoice.uuid}/{action}/"
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "OPTIONS, POST"
    answer = await client.post(path[:-1], headers=headers, json=ACTIONS[action])
    assert answer.status_code == 308
    assert answer.headers["location"] == f"./{action}/"
