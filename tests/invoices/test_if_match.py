"""`If-Match`: a change is made only to the invoice as the client knows it."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app.database.engine import Database
from tests.support.factories import Factories, Row

CHANGED = {"detail": "The invoice has changed meanwhile."}
ACTIONS: dict[str, Any] = {
    "paid": {"date": "2026-11-05"},
    "set_backend_id": {"backend_id": "B-1"},
    "set_payment_url": {"payment_url": "https://pay.example/1"},
    "set_reference_number": {"reference_number": "R-1"},
}


class Case:
    """An invoice, and how staff read and change it."""

    def __init__(self, client: httpx.AsyncClient, invoice: Row, headers: dict[str, str]) -> None:
        self.client = client
        self.path = f"/api/invoices/{invoice.uuid}/"
        self.headers = headers

    async def etag(self, **headers: str) -> str:
        answer = await self.client.get(self.path, headers=self.headers | headers)
        return answer.headers["etag"]

    async def post(self, action: str, if_match: str) -> httpx.Response:
        headers = self.headers | {"If-Match": if_match}
        return await self.client.post(
            f"{self.path}{action}/", json=ACTIONS[action], headers=headers
        )


@pytest.fixture
async def case(client: httpx.AsyncClient, make: Factories) -> Case:
    invoice = await make.payable_invoice()
    for number in range(4):  # enough to be compressed
        await make.item(invoice, f"{number}.19", name="x" * 200)
    return Case(client, invoice, (await make.staff()).headers)


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_change_of_the_state_in_if_match_is_made(case: Case, action: str) -> None:
    etag = await case.etag()
    assert (await case.post(action, etag)).status_code == 200
    assert await case.etag() != etag


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_change_of_an_invoice_that_changed_meanwhile_is_refused(
    case: Case, action: str, connection: AsyncConnection
) -> None:
    etag = await case.etag()
    await connection.execute(text("UPDATE invoices SET cancel_reason = 'none'"))
    before = await case.etag()
    answer = await case.post(action, etag)
    assert (answer.status_code, answer.json()) == (412, CHANGED)
    assert await case.etag() == before
    assert (await case.post(action, f'"other", {before}')).status_code == 200


@pytest.mark.parametrize(
    "change", ["UPDATE invoice_items SET quantity = 7", "UPDATE customers SET name = 'Renamed'"]
)
async def test_items_and_names_count_too(
    case: Case, connection: AsyncConnection, change: str
) -> None:
    etag = await case.etag()
    await connection.execute(text(change))
    assert (await case.post("paid", etag)).status_code == 412


async def test_any_state_will_do(case: Case) -> None:
    assert (await case.post("set_backend_id", "*")).status_code == 200
    assert (await case.post("set_backend_id", "")).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_the_validator_of_a_compressed_answer(case: Case, coding: str) -> None:
    etag = await case.etag(**{"Accept-Encoding": coding})
    assert coding in etag
    assert (await case.post("set_backend_id", etag)).status_code == 200
    assert (await case.post("set_reference_number", etag)).status_code == 412


async def test_the_log_names_the_operation_and_the_user(case: Case) -> None:
    etag = await case.etag(**{"Accept-Encoding": "gzip"})
    with capture_logs() as lines:
        await case.post("set_backend_id", etag)
        await case.etag(**{"If-None-Match": etag, "Accept-Encoding": "gzip"})
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["operation"] for line in requests] == [
        "invoices_set_backend_id",
        "invoices_retrieve",
    ]
    assert all(line["user"] for line in requests)


async def test_weak_and_malformed_tags_match_nothing(case: Case) -> None:
    etag = await case.etag()
    for tag in (f"W/{etag}", etag.strip('"'), f"{etag} {etag}x", '"'):
        assert (await case.post("set_backend_id", tag)).status_code == 412, tag


async def test_a_validator_of_some_fields_is_another_one(case: Case) -> None:
    answer = await case.client.get(case.path, params={"field": "state"}, headers=case.headers)
    assert (await case.post("set_backend_id", answer.headers["etag"])).status_code == 412


async def test_one_of_two_changes_at_once_of_the_same_state_is_refused(case: Case) -> None:
    etag = await case.etag()
    answers = await asyncio.gather(
        *(case.post(action, etag) for action in ("set_backend_id", "set_reference_number"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_a_request_with_another_error_is_refused_for_that_error(
    case: Case, connection: AsyncConnection
) -> None:
    await connection.execute(text("UPDATE invoices SET state = 'paid'"))
    assert (await case.post("paid", '"old"')).status_code == 409


async def test_the_answer_of_a_change_that_was_rolled_back_is_never_read(
    case: Case, connection: AsyncConnection, database: Database
) -> None:
    await connection.execute(
        text(
            "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not today'; END $$"
        )
    )
    await connection.execute(
        text(
            "CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON payments"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fails()"
        )
    )
    assert (await case.post("paid", "*")).status_code == 500
    # The next change has the revision that the first would have had.
    assert (await case.post("set_backend_id", "*")).status_code == 200
    answer = await case.client.get(case.path, headers=case.headers)
    assert (answer.json()["state"], answer.json()["backend_id"]) == ("created", "B-1")
