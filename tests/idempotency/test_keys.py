"""`Idempotency-Key`: a retried request changes nothing more and gets the same response."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.api import rendered_response
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.idempotency import repository
from app.idempotency.models import StoredResponse
from app.idempotency.repository import LIFETIME, IdempotencyKey
from app.invoices.models import Invoice
from app.main import create_app
from app.payments.models import Payment
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row, UserRow
from tests.support.proxy import postgresql_proxy

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PDF = b"%PDF-1.7\nproof"
USED = {"detail": "Idempotency-Key was already used with a different request."}
RUNNING = {"detail": "A request with this Idempotency-Key is still in progress."}
MALFORMED = {"detail": "Idempotency-Key must be 1 to 255 printable ASCII characters."}
DAY = {"date": "2026-11-05"}


class Case:
    """A created invoice that can be paid, and a member of staff."""

    def __init__(self, client: httpx.AsyncClient, connection: AsyncConnection) -> None:
        self.client = client
        self.connection = connection
        self.invoice: Row
        self.staff: UserRow

    async def post(self, action: str, key: str | None = "k-1", **request: Any) -> httpx.Response:
        headers = self.staff.headers | request.pop("headers", {})
        if key is not None:
            headers["Idempotency-Key"] = key
        path = request.pop("path", f"/api/invoices/{self.invoice.uuid}/{action}/")
        return await self.client.post(path, headers=headers, **request)

    async def count(self, table: Any) -> int:
        statement = select(func.count()).select_from(table)
        return (await self.connection.execute(statement)).scalar_one()

    async def value(self, column: Any) -> Any:
        statement = select(column).where(Invoice.id == self.invoice.id)
        return (await self.connection.execute(statement)).scalar_one()


@pytest.fixture
async def case(client: httpx.AsyncClient, connection: AsyncConnection, make: Factories) -> Case:
    case = Case(client, connection)
    customer = await make.customer(email="billing@customer.example")
    await make.profile(customer)
    case.invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(case.invoice, "100.19")
    case.staff = await make.staff()
    return case


def is_same(first: httpx.Response, second: httpx.Response) -> bool:
    def headers(answer: httpx.Response) -> dict[str, str]:
        own = {"x-request-id", "idempotent-replayed", "ratelimit"}
        return {name: value for name, value in answer.headers.items() if name not in own}

    return (first.status_code, first.content, headers(first)) == (
        second.status_code,
        second.content,
        headers(second),
    )


@pytest.mark.parametrize(
    ("action", "request_"),
    [
        ("paid", {"json": DAY}),
        ("paid", {}),
        ("paid", {"data": DAY, "files": {"proof": ("p.pdf", PDF)}}),
        ("send_notification", {}),
        ("set_backend_id", {"json": {"backend_id": "B-1"}}),
        ("set_payment_url", {"data": {"payment_url": "https://pay.example/1"}}),
        ("set_reference_number", {"json": {"reference_number": "R-1"}}),
        ("set_reference_number", {}),
    ],
)
async def test_the_response_to_every_post_is_replayed(
    case: Case, settings: Settings, action: str, request_: dict[str, Any]
) -> None:
    first = await case.post(action, **request_)
    assert first.status_code == 200, first.text
    assert "idempotent-replayed" not in first.headers
    revision = await case.value(Invoice.revision)
    counts = [await case.count(table) for table in (Payment, Delivery)]

    second = await case.post(action, **request_)
    assert second.headers["idempotent-replayed"] == "true"
    assert is_same(first, second)
    assert await case.value(Invoice.revision) == revision
    assert [await case.count(table) for table in (Payment, Delivery)] == counts
    assert len(list(settings.proof_dir.glob("*"))) == int("files" in request_)


async def test_the_replayed_response_is_the_original_one(case: Case) -> None:
    first = await case.post("paid", json=DAY)
    await case.post("set_backend_id", key=None, json={"backend_id": "later"})
    again = await case.post("paid", json=DAY)
    assert again.json()["backend_id"] == ""
    assert is_same(first, again)


async def test_the_same_request_may_have_another_media_type(case: Case) -> None:
    body = {"backend_id": "B-1"}
    first = await case.post("set_backend_id", json=body)
    path = f"/api/invoices/{case.invoice.uuid.hex.upper()}/set_backend_id/"
    again = await case.post("set_backend_id", path=path, data=body)
    assert "idempotent-replayed" in again.headers
    assert is_same(first, again)


async def test_a_different_request_with_the_key_is_refused(case: Case, make: Factories) -> None:
    proof: dict[str, Any] = {"data": DAY, "files": {"proof": ("p.pdf", PDF)}}
    assert (await case.post("paid", **proof)).status_code == 200
    other = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    year = {"year": str(await case.value(Invoice.year))}
    others: list[tuple[str, dict[str, Any]]] = [
        ("paid", {"json": DAY}),
        ("paid", {}),
        ("paid", {"json": {"date": "no date"}}),
        ("paid", {"data": DAY, "files": {"proof": ("q.pdf", PDF)}}),
        ("paid", {"data": DAY, "files": {"proof": ("p.pdf", PDF + b"!")}}),
        ("paid", proof | {"params": year}),
        ("paid", proof | {"path": f"/api/invoices/{other.uuid}/paid/"}),
        ("send_notification", {}),
        ("set_backend_id", {"json": {"backend_id": "B-1"}}),
    ]
    for action, request in others:
        answer = await case.post(action, **request)
        assert (answer.status_code, answer.json()) == (400, USED), (action, request)
    assert await case.count(Payment) == 1
    assert await case.value(Invoice.backend_id) == ""


async def test_a_key_belongs_to_one_user(case: Case, make: Factories) -> None:
    await case.post("set_backend_id", json={"backend_id": "first"})
    other = await make.staff()
    answer = await case.post("set_backend_id", json={"backend_id": "second"}, headers=other.headers)
    assert answer.status_code == 200
    assert "idempotent-replayed" not in answer.headers
    assert await case.value(Invoice.backend_id) == "second"
    # The user's other tokens share the key.
    await make.token(case.staff, "spare")
    spare = {"Authorization": "Token spare"}
    again = await case.post("set_backend_id", json={"backend_id": "first"}, headers=spare)
    assert again.headers["idempotent-replayed"] == "true"


async def test_error_responses_are_not_stored(case: Case) -> None:
    set_state = text("UPDATE invoices SET state = :state")
    await case.connection.execute(set_state, {"state": "pending"})
    assert (await case.post("paid", json=DAY)).status_code == 409
    assert (await case.post("send_notification", key="k-2")).status_code == 400
    wrong: dict[str, Any] = {"backend_id": []}
    assert (await case.post("set_backend_id", key="k-3", json=wrong)).status_code == 400
    assert await case.count(StoredResponse) == 0

    await case.connection.execute(set_state, {"state": "created"})
    assert (await case.post("send_notification", key="k-2")).status_code == 200
    assert (await case.post("paid", json=DAY)).status_code == 200


async def test_a_response_is_stored_for_a_day(case: Case, database: Database) -> None:
    clock.freeze(NOW)
    await case.post("set_backend_id", json={"backend_id": "first"})
    clock.freeze(NOW + LIFETIME - timedelta(seconds=1))
    again = await case.post("set_backend_id", json={"backend_id": "first"})
    assert "idempotent-replayed" in again.headers
    clock.freeze(NOW + LIFETIME)
    answer = await case.post("set_backend_id", json={"backend_id": "second"})
    assert answer.status_code == 200
    assert await case.value(Invoice.backend_id) == "second"
    again = await case.post("set_backend_id", json={"backend_id": "second"})
    assert "idempotent-replayed" in again.headers


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "schlüssel", "a\tb", "\x7f"])
async def test_a_malformed_key_is_refused(case: Case, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    path = f"/api/invoices/{case.invoice.uuid}/paid/"
    for name, value in case.staff.headers.items():
        headers[name.encode()] = value.encode()
    answer = await case.client.post(path, headers=headers)
    assert (answer.status_code, answer.json()) == (400, MALFORMED)
    assert await case.value(Invoice.state) == "created"


async def test_the_key_is_checked_after_the_role_and_before_the_invoice(
    case: Case, make: Factories
) -> None:
    nowhere = "/api/invoices/nowhere/paid/"
    bad = {"Idempotency-Key": "a" * 256}
    owner = await make.user()
    answer = await case.post("paid", key=None, path=nowhere, headers=owner.headers | bad)
    assert answer.status_code == 403
    answer = await case.post("paid", key=None, path=nowhere, headers=bad)
    assert (answer.status_code, answer.json()) == (400, MALFORMED)
    answer = await case.post("paid", path=nowhere)
    assert answer.status_code == 404


async def test_a_retry_during_the_first_request_is_refused(case: Case, database: Database) -> None:
    async with database.transaction() as connection:
        await repository.lock_key(connection, IdempotencyKey(case.staff.id, "k-1"))
        answer = await case.post("paid", json=DAY)
        assert (answer.status_code, answer.json()) == (409, RUNNING)
        assert int(answer.headers["retry-after"]) > 0
        # A request with another key is not refused.
        assert (await case.post("set_backend_id", key="k-2")).status_code == 200
    assert (await case.post("paid", json=DAY)).status_code == 200


async def test_concurrent_requests_pay_once(case: Case, settings: Settings) -> None:
    request: dict[str, Any] = {"data": DAY, "files": {"proof": ("p.pdf", PDF)}}
    answers = await asyncio.gather(*(case.post("paid", **request) for _ in range(12)))
    responses = {(answer.status_code, answer.content) for answer in answers}
    paid = {body for status, body in responses if status == 200}
    assert len(paid) == 1
    assert {status for status, _ in responses} <= {200, 409}
    assert await case.count(Payment) == 1
    assert len(list(settings.proof_dir.glob("*"))) == 1
    again = await case.post("paid", **request)
    assert again.content in paid


async def test_a_long_response_is_replayed_as_a_stream(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendered_response, "STREAM_ABOVE", 500)
    first = await case.post("paid", json=DAY)
    assert (await case.connection.execute(select(StoredResponse.is_packed))).scalar_one()
    again = await case.post("paid", json=DAY)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json() == again.json()
    assert is_same(first, again)


async def test_a_commit_without_confirmation_is_found_by_the_retry(
    case: Case, settings: Settings
) -> None:
    async with postgresql_proxy(settings.database_url) as proxy:
        app = create_app(settings.model_copy(update={"database_url": proxy.url}))
        async with app.router.lifespan_context(app), client_of(app) as case.client:
            proxy.commit_replies_to_cut = 1
            lost = await case.post("set_backend_id", json={"backend_id": "B-1"})
            assert lost.status_code == 503
            again = await case.post("set_backend_id", json={"backend_id": "B-1"})
    assert proxy.cuts == 1
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")


async def test_a_key_adds_few_statements(case: Case, statements: list[str]) -> None:
    async def cost(key: str | None) -> int:
        statements.clear()
        await case.post("set_backend_id", key=key, json={"backend_id": "B-1"})
        return len(statements)

    await cost(None)
    plain = await cost(None)
    assert await cost("k-1") == plain + 4
    assert await cost("k-1") == 2  # the invoice and the stored response
