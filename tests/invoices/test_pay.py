"""`paid`: the recorded payment, the refused requests, and that it happens once or not at all."""

import asyncio
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.invoices.models import Invoice
from app.main import create_app
from app.payments.models import Payment
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row
from tests.support.proxy import postgresql_proxy

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\nproof of payment"
NO_DATE = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
NOT_A_FILE = "The submitted data was not a file. Check the encoding type on the form."
UNKNOWN_TYPE = (
    "The submitted file is of an unknown type. Submit a PDF, PNG, JPEG, TIFF, WebP or HEIC file."
)
WRONG_STATE = {"detail": "Valid states for operation: Created."}


class Case:
    """A created invoice of a customer with a payment profile, and staff to pay it."""

    def __init__(self, client: httpx.AsyncClient, connection: AsyncConnection) -> None:
        self.client = client
        self.connection = connection
        self.invoice: Row
        self.profile: Row
        self.headers: dict[str, str]

    @property
    def path(self) -> str:
        return f"/api/invoices/{self.invoice.uuid}/paid/"

    async def pay(self, **body: Any) -> httpx.Response:
        headers = self.headers | body.pop("headers", {})
        return await self.client.post(self.path, headers=headers, **body)

    async def state(self) -> str:
        statement = select(Invoice.state).where(Invoice.id == self.invoice.id)
        return (await self.connection.execute(statement)).scalar_one()

    async def payments(self) -> list[Any]:
        return list((await self.connection.execute(select(*Payment.__table__.c))).all())


@pytest.fixture
async def case(client: httpx.AsyncClient, connection: AsyncConnection, make: Factories) -> Case:
    customer = await make.customer()
    case = Case(client, connection)
    case.profile = await make.profile(customer)
    case.invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(case.invoice, "100.19")
    case.headers = (await make.staff()).headers
    return case


def proofs(settings: Settings) -> list[str]:
    return sorted(file.name for file in settings.proof_dir.glob("*"))


def multipart(*parts: bytes) -> dict[str, Any]:
    return {
        "content": b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=B"},
    }


def as_json(value: str) -> dict[str, Any]:
    return {"content": value.encode(), "headers": {"Content-Type": "application/json"}}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"json": {}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        multipart(),
        multipart(b'Content-Disposition: form-data; name="proof"; filename=""\r\n\r\n'),
    ],
)
async def test_without_a_field_no_payment_is_recorded(case: Case, body: dict[str, Any]) -> None:
    answer = await case.pay(**body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "paid"
    assert await case.state() == "paid"
    assert await case.payments() == []


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"date": "2026-11-05", "other": [1]}},
        {"data": {"date": "2026-11-05"}},
        {"data": {"date": "2026-11-05", "proof": ""}},
        multipart(b'Content-Disposition: form-data; name="date"\r\n\r\n2026-11-05'),
    ],
)
async def test_a_payment_is_recorded(case: Case, settings: Settings, body: dict[str, Any]) -> None:
    clock.freeze(datetime(2026, 11, 23, 12, tzinfo=UTC))
    answer = await case.pay(**body)
    assert answer.status_code == 200, answer.text
    (payment,) = await case.payments()
    assert payment.invoice_id == case.invoice.id
    assert payment.profile_id == case.profile.id
    assert payment.date_of_payment == date(2026, 11, 5)
    assert payment.sum == Decimal("120.23")  # 100.19 and 20 % are 120.228
    assert payment.created_at == clock.now()
    assert payment.proof_key is None
    assert proofs(settings) == []


async def test_the_response_is_the_whole_invoice(case: Case) -> None:
    answer = await case.pay(json={"date": "2026-11-05"}, params={"field": "uuid"})
    url = f"/api/invoices/{case.invoice.uuid}/"
    assert answer.content == (await case.client.get(url, headers=case.headers)).content
    assert answer.json()["items"][0]["price"] == 100.19


@pytest.mark.parametrize(
    ("price", "total"), [("0.15", "0.17"), ("-0.15", "-0.17"), ("0", "0.00"), ("0.14", "0.15")]
)
async def test_the_sum_is_rounded_half_up(
    case: Case, make: Factories, price: str, total: str
) -> None:
    case.invoice = await make.payable_invoice(price, tax_percent=Decimal(10))
    assert (await case.pay(json={"date": "2026-11-05"})).status_code == 200
    (payment,) = await case.payments()
    assert payment.sum == Decimal(total)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"json": {"proof": PDF.decode("latin-1")}}, {"date": ["This field is required."]}),
        ({"json": {"other": 1}}, {"date": ["This field is required."]}),
        ({"json": {"date": None}}, {"date": ["This field may not be null."]}),
        ({"json": {"date": " 2026-11-05 "}}, {"date": [NO_DATE]}),
        ({"json": {"date": 20261105}}, {"date": [NO_DATE]}),
        ({"json": {"date": "2026-02-30"}}, {"date": [NO_DATE]}),
        ({"data": {"date": ""}}, {"date": [NO_DATE]}),
        ({"files": {"date": ("2026-11-05", b"2026-11-05")}}, {"date": [NO_DATE]}),
        ({"data": {"foo": "bar"}}, {"date": ["This field is required."]}),
        ({"json": {"date": "2026-11-05", "proof": ""}}, {"proof": [NOT_A_FILE]}),
        ({"json": {"date": "2026-11-05", "proof": {}}}, {"proof": [NOT_A_FILE]}),
        (
            {"json": {"date": "2026-11-05", "proof": None}},
            {"proof": ["This field may not be null."]},
        ),
        ({"data": {"date": "2026-11-05", "proof": "x.pdf"}}, {"proof": [NOT_A_FILE]}),
        (
            {"data": {"date": "2026-11-05"}, "files": {"proof": ("p.pdf", b"")}},
            {"proof": ["The submitted file is empty."]},
        ),
        (
            {"data": {"date": "no"}, "files": {"proof": ("p.pdf", b"MZ" + b" " * 400_000)}},
            {"date": [NO_DATE], "proof": [UNKNOWN_TYPE]},
        ),
        (
            {"files": {"proof": ("p.html", b"<html>%PDF-")}},
            {"date": ["This field is required."], "proof": [UNKNOWN_TYPE]},
        ),
    ],
)
async def test_invalid_fields_are_refused(
    case: Case, settings: Settings, body: dict[str, Any], errors: dict[str, list[str]]
) -> None:
    if "proof" in body.get("json", {}) and "date" not in body["json"]:
        errors = errors | {"proof": [NOT_A_FILE]}
    answer = await case.pay(**body)
    assert (answer.status_code, answer.json()) == (400, errors)
    assert await case.state() == "created"
    assert await case.payments() == []
    assert proofs(settings) == []


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (
            as_json("{} x"),
            400,
            {"detail": "JSON parse error - Extra data: line 1 column 4 (char 3)"},
        ),
        (
            as_json("[]"),
            400,
            {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]},
        ),
        ({"content": b"x"}, 415, {"detail": 'Unsupported media type "" in request.'}),
    ],
)
async def test_invalid_bodies_are_refused(
    case: Case, body: dict[str, Any], status: int, detail: Any
) -> None:
    answer = await case.pay(**body)
    assert (answer.status_code, answer.json()) == (status, detail)
    assert await case.state() == "created"


@pytest.mark.parametrize("state", [s for s in InvoiceState if s is not InvoiceState.CREATED])
async def test_only_a_created_invoice_is_paid(
    case: Case, connection: AsyncConnection, state: InvoiceState
) -> None:
    await connection.execute(text("UPDATE invoices SET state = :state"), {"state": state})
    for body in ({}, as_json("{bad"), {"json": {"date": "abc"}}, {"content": b"x"}):
        answer = await case.pay(**body)
        assert (answer.status_code, answer.json()) == (409, WRONG_STATE)
    assert await case.state() == state
    assert await case.payments() == []


async def test_a_payment_needs_an_active_profile(
    case: Case, settings: Settings, connection: AsyncConnection
) -> None:
    await connection.execute(text("UPDATE payment_profiles SET is_active = false"))
    for files in (None, {"proof": ("p.pdf", PDF)}):
        answer = await case.pay(data={"date": "2026-11-05"}, files=files)
        assert answer.status_code == 400
        assert answer.json() == ["The active profile for this customer does not exist."]
        assert await case.state() == "created"
        assert proofs(settings) == []
    assert (await case.pay(json={"date": "no"})).json() == {"date": [NO_DATE]}
    assert (await case.pay()).status_code == 200


async def test_a_proof_is_stored(case: Case, settings: Settings) -> None:
    answer = await case.pay(
        data={"date": "2026-11-05"}, files={"proof": ("../re\rceipt.exe", PDF, "text/html")}
    )
    assert answer.status_code == 200, answer.text
    (payment,) = await case.payments()
    assert proofs(settings) == [payment.proof_key]
    assert (settings.proof_dir / payment.proof_key).read_bytes() == PDF
    assert payment.proof_name == "re%0Dceipt.exe"  # as the client escapes it
    assert payment.proof_media_type == "application/pdf"
    assert payment.proof_size == len(PDF)
    assert payment.proof_sha256 == sha256(PDF).hexdigest()


DATE = b'Content-Disposition: form-data; name="date"\r\n\r\n2026-11-05'


def proof_part(content: bytes, parameters: bytes, *, name: bytes = b"proof") -> bytes:
    return b'Content-Disposition: form-data; name="%b"%b\r\n\r\n%b' % (name, parameters, content)


FILE = b'; filename="p.pdf"'
UNUSED = proof_part(b"", b'; filename=""')


@pytest.mark.parametrize(
    ("parts", "errors"),
    [
        ([proof_part(PDF, b'; filename=""')], {"proof": [NOT_A_FILE]}),
        ([proof_part(PDF * 50_000, b'; filename=""')], {"proof": [NOT_A_FILE]}),
        ([proof_part(PDF, b"")], {"proof": [NOT_A_FILE]}),
        ([proof_part(PDF, b'; filename=""'), UNUSED], {"proof": [NOT_A_FILE]}),
        ([proof_part(PDF, b'; filename=""'), proof_part(PDF, FILE)], {"proof": [NOT_A_FILE]}),
        (
            [proof_part(PDF + b"1" * 400_000, FILE), proof_part(PDF, FILE)],
            {"proof": ["Only one file can be submitted."]},
        ),
        (
            [proof_part(PDF, FILE, name=b"Proof")],
            {"Proof": ["A file can be submitted in the field proof only."]},
        ),
        (
            [proof_part(PDF, FILE), proof_part(PDF, FILE, name=b"file")],
            {"file": ["A file can be submitted in the field proof only."]},
        ),
    ],
)
async def test_a_proof_that_would_be_lost_is_refused(
    case: Case, settings: Settings, parts: list[bytes], errors: dict[str, list[str]]
) -> None:
    for order in (parts, parts[::-1]):
        answer = await case.pay(**multipart(DATE, *order))
        assert (answer.status_code, answer.json()) == (400, errors)
    assert await case.state() == "created"
    assert await case.payments() == []
    assert proofs(settings) == []


@pytest.mark.parametrize(
    "parts",
    [
        [proof_part(PDF, FILE), UNUSED],
        [UNUSED, proof_part(PDF, FILE)],
        [proof_part(PDF, FILE), proof_part(b"", b"")],
        [proof_part(PDF, FILE), proof_part(b"a text", b"")],
        [proof_part(PDF, b"; filename*=UTF-8''p.pdf")],
    ],
)
async def test_a_proof_is_stored_with_other_values_in_its_field(
    case: Case, settings: Settings, parts: list[bytes]
) -> None:
    answer = await case.pay(**multipart(DATE, *parts))
    assert answer.status_code == 200, answer.text
    (payment,) = await case.payments()
    assert payment.proof_name == "p.pdf"
    assert (settings.proof_dir / payment.proof_key).read_bytes() == PDF


async def test_two_at_once_pay_once(case: Case, settings: Settings, make: Factories) -> None:
    for round_number in range(15):
        case.invoice = await make.payable_invoice()
        answers = await asyncio.gather(
            *(
                case.pay(data={"date": "2026-11-05"}, files={"proof": (f"{n}.pdf", PDF)})
                for n in range(3)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
        assert {json.dumps(a.json()) for a in answers if a.status_code == 409} == {
            json.dumps(WRONG_STATE)
        }
        assert len(await case.payments()) == round_number + 1
        assert len(proofs(settings)) == round_number + 1


FAILS_AT_COMMIT = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NULL; END $$
"""
AT_COMMIT = """
CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON payments DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION fail()
"""


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("RAISE EXCEPTION 'not today'", 500),
        ("PERFORM pg_terminate_backend(pg_backend_pid())", 503),
    ],
)
async def test_a_commit_that_fails_leaves_nothing(
    case: Case, settings: Settings, connection: AsyncConnection, what: str, status: int
) -> None:
    await connection.execute(text(FAILS_AT_COMMIT.format(what=what)))
    await connection.execute(text(AT_COMMIT))
    answer = await case.pay(data={"date": "2026-11-05"}, files={"proof": ("p.pdf", PDF)})
    assert answer.status_code == status
    assert "not today" not in answer.text
    assert await case.state() == "created"
    assert await case.payments() == []
    assert proofs(settings) == []

    await connection.execute(text("DROP TRIGGER fails ON payments"))
    answer = await case.pay(data={"date": "2026-11-05"}, files={"proof": ("p.pdf", PDF)})
    assert answer.status_code == 200, answer.text
    assert len(proofs(settings)) == 1


async def test_a_commit_with_a_lost_reply_keeps_its_proof(case: Case, settings: Settings) -> None:
    async with postgresql_proxy(settings.database_url) as proxy:
        app = create_app(settings.model_copy(update={"database_url": proxy.url}))
        async with app.router.lifespan_context(app), client_of(app) as case.client:
            proxy.commit_replies_to_cut = 1
            answer = await case.pay(data={"date": "2026-11-05"}, files={"proof": ("p.pdf", PDF)})
    assert proxy.cuts == 1
    assert answer.status_code == 200, answer.text
    (payment,) = await case.payments()
    assert proofs(settings) == [payment.proof_key]
