"""Linking payments to invoices, and unlinking them."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from tests.support.clients import BASE
from tests.support.factories import Factories, Row

NO_OBJECT = {"invoice": ["Invalid hyperlink - Object does not exist."]}
LINKED = "An invoice has been linked to payment."
UNLINKED = {"detail": "An invoice has been unlinked from payment."}


class Case:
    """A payment and a paid invoice of one customer."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers
        self.customer: Row
        self.profile: Row
        self.payment: Row
        self.invoice: Row

    async def link(self, invoice: Row | None = None, key: str | None = None) -> httpx.Response:
        uuid = (invoice or self.invoice).uuid
        return await self.post("link_to_invoice", {"invoice": f"/api/invoices/{uuid}/"}, key)

    async def post(self, action: str, body: Any = None, key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.client.post(
            f"/api/payments/{self.payment.uuid}/{action}/",
            json=body,
            headers=self.headers | headers,
        )

    async def shown(self) -> dict[str, Any]:
        path = f"/api/payments/{self.payment.uuid}/"
        answer = await self.client.get(path, headers=self.headers)
        payment: dict[str, Any] = answer.json()
        return payment


@pytest.fixture
async def case(client: httpx.AsyncClient, make: Factories) -> Case:
    case = Case(client, (await make.staff()).headers)
    case.customer = await make.customer()
    case.profile = await make.profile(case.customer)
    case.payment = await make.payment(case.profile)
    case.invoice = await make.invoice(case.customer, Period(2026, 2), InvoiceState.PAID)
    return case


async def test_a_payment_is_linked_and_unlinked(case: Case) -> None:
    url = f"{BASE}/api/invoices/{case.invoice.uuid}/"
    answer = await case.link()
    assert (answer.status_code, answer.json()) == (200, {"detail": LINKED, "invoice": url})
    payment = await case.shown()
    assert (payment["invoice"], payment["invoice_period"]) == (url, "02-2026")
    answer = await case.post("unlink_from_invoice")
    assert (answer.status_code, answer.json()) == (200, UNLINKED)
    assert (await case.shown())["invoice"] is None
    state = await case.client.get(f"/api/invoices/{case.invoice.uuid}/", headers=case.headers)
    assert state.json()["state"] == "paid"


async def test_the_state_of_the_payment_comes_before_the_body(case: Case) -> None:
    answer = await case.post("unlink_from_invoice")
    assert (answer.status_code, answer.json()) == (400, ["Link to an invoice does not exist."])
    await case.link()
    for body in ({}, {"invoice": "x"}):
        answer = await case.post("link_to_invoice", body)
        assert (answer.status_code, answer.json()) == (400, ["Link to an invoice exists."])


@pytest.mark.parametrize("state", [s for s in InvoiceState if s != InvoiceState.PAID])
async def test_only_a_paid_invoice_can_be_chosen(
    case: Case, make: Factories, state: InvoiceState
) -> None:
    answer = await case.link(await make.invoice(case.customer, Period(2026, 3), state))
    assert (answer.status_code, answer.json()) == (400, NO_OBJECT)


async def test_the_invoice_is_of_the_same_customer(case: Case, make: Factories) -> None:
    other = await make.invoice(await make.customer(), state=InvoiceState.PAID)
    answer = await case.link(other)
    message = "The passed invoice does not belong to the selected customer."
    assert (answer.status_code, answer.json()) == (400, [message])
    assert (await case.shown())["invoice"] is None


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"invoice": ["This field is required."]}),
        ({"invoice": None}, {"invoice": ["This field may not be null."]}),
        ({"invoice": "/api/customers/x/"}, {"invoice": ["Invalid hyperlink - No URL match."]}),
        ({"invoice": f"/api/invoices/{uuid4()}/"}, NO_OBJECT),
    ],
)
async def test_an_invalid_link(case: Case, body: Any, errors: Any) -> None:
    answer = await case.post("link_to_invoice", body)
    assert (answer.status_code, answer.json()) == (400, errors)


async def test_a_negative_payment_is_of_an_invoice_in_favour(case: Case, make: Factories) -> None:
    case.payment = await make.payment(case.profile, sum=Decimal(-5))
    answer = await case.link()
    assert (answer.status_code, list(answer.json())) == (400, ["sum"])
    favour = await make.invoice(case.customer, Period(2026, 4), InvoiceState.PAID)
    await make.item(favour, "-5")
    assert (await case.link(favour)).status_code == 200


async def test_a_repeated_link_is_replayed(case: Case) -> None:
    first = await case.link(key="k-1")
    again = await case.link(key="k-1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert (await case.link(key="k-2")).status_code == 400


async def test_of_two_links_at_once_one_is_made(case: Case, make: Factories) -> None:
    other = await make.invoice(case.customer, Period(2026, 5), InvoiceState.PAID)
    answers = await asyncio.gather(case.link(), case.link(other))
    assert sorted(answer.status_code for answer in answers) == [200, 400]


async def test_a_deletion_and_a_link_at_once_end_without_the_payment(
    case: Case, make: Factories
) -> None:
    for month in range(5):
        case.payment = await make.payment(case.profile)
        path = f"/api/payments/{case.payment.uuid}/"
        invoice = await make.invoice(case.customer, Period(2025, month + 1), InvoiceState.PAID)
        deleted, linked = await asyncio.gather(
            case.client.delete(path, headers=case.headers), case.link(invoice)
        )
        assert deleted.status_code == 204
        assert linked.status_code in (200, 404)
        assert (await case.client.get(path, headers=case.headers)).status_code == 404
