"""Changes of payments: create, update, partial update, destroy."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.payments.jobs.sweep_proofs import sweep_proofs
from app.payments.models import Payment
from app.settings import Settings
from tests.support.clients import BASE
from tests.support.factories import Factories, Row

URL = "/api/payments/"
NIL = "00000000-0000-0000-0000-000000000000"
PDF = b"%PDF-1.7\nproof"
NO_OBJECT = ["Invalid hyperlink - Object does not exist."]
NEGATIVE = {"sum": ["Ensure this value is greater than or equal to 0."]}


class Case:
    """An active payment profile, and staff who record its payments."""

    def __init__(
        self, client: httpx.AsyncClient, connection: AsyncConnection, proofs: Path
    ) -> None:
        self.client = client
        self.connection = connection
        self.proof_dir = proofs
        self.customer: Row
        self.profile: Row
        self.headers: dict[str, str] = {}

    def body(self, **fields: Any) -> dict[str, Any]:
        profile = f"{BASE}/api/payment-profiles/{self.profile.uuid}/"
        return {"profile": profile, "date_of_payment": "2026-11-05", "sum": "12.34"} | fields

    async def send(self, method: str, path: str = "", **request: Any) -> httpx.Response:
        headers = self.headers | request.pop("headers", {})
        return await self.client.request(method, f"{URL}{path}", headers=headers, **request)

    async def proof_keys(self) -> list[str]:
        keys = (await self.connection.execute(select(Payment.proof_key))).scalars()
        return [key for key in keys if key is not None]

    async def count(self) -> int:
        statement = select(func.count()).select_from(Payment)
        return (await self.connection.execute(statement)).scalar_one()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.proof_dir.glob("*"))


@pytest.fixture
async def case(
    client: httpx.AsyncClient, connection: AsyncConnection, make: Factories, settings: Settings
) -> Case:
    case = Case(client, connection, settings.proof_dir)
    case.customer = await make.customer()
    case.profile = await make.profile(case.customer)
    case.headers = (await make.staff()).headers
    return case


async def test_a_created_payment_is_shown_as_it_is_retrieved(case: Case) -> None:
    answer = await case.send("POST", json=case.body(invoice="ignored", invoice_uuid=str(uuid4())))
    assert answer.status_code == 201, answer.text
    payment = answer.json()
    assert payment == {
        "uuid": payment["uuid"],
        "url": f"{BASE}{URL}{payment['uuid']}/",
        "profile": f"{BASE}/api/payment-profiles/{case.profile.uuid}/",
        "date_of_payment": "2026-11-05",
        "sum": "12.34",
        "proof": None,
        "invoice": None,
        "invoice_uuid": NIL,
        "invoice_period": None,
        "customer_uuid": str(case.customer.uuid),
    }
    assert answer.headers["location"] == payment["url"]
    assert (await case.send("GET", f"{payment['uuid']}/")).json() == payment


@pytest.mark.parametrize("media", ["json", "data", "files"])
async def test_json_and_forms_are_equal(case: Case, media: str) -> None:
    body: dict[str, Any] = {media: case.body()}
    if media == "files":
        body = {"files": {name: (None, value) for name, value in case.body().items()}}
    answer = await case.send("POST", **body)
    assert (answer.status_code, answer.json()["sum"]) == (201, "12.34")


async def test_a_payment_without_a_sum_is_of_zero(case: Case) -> None:
    body = case.body()
    del body["sum"]
    answer = await case.send("POST", json=body)
    assert (answer.status_code, answer.json()["sum"]) == (201, "0.00")
    uuid = answer.json()["uuid"]
    await case.send("PATCH", f"{uuid}/", json={"sum": "5"})
    assert (await case.send("PUT", f"{uuid}/", json=body)).json()["sum"] == "5.00"


@pytest.mark.parametrize(
    ("value", "stored"),
    [(" 7.00 ", "7.00"), ("1e3", "1000.00"), (0.1, "0.10"), (12, "12.00"), ("99999999.99",) * 2],
)
async def test_a_sum_is_a_text_or_a_number(case: Case, value: Any, stored: str) -> None:
    answer = await case.send("POST", json=case.body(sum=value))
    assert (answer.status_code, answer.json().get("sum")) == (201, stored)


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"sum": "1.234"}, {"sum": ["Ensure that there are no more than 2 decimal places."]}),
        (
            {"sum": "123456789.00"},
            {"sum": ["Ensure that there are no more than 10 digits in total."]},
        ),
        (
            {"sum": "123456789"},
            {"sum": ["Ensure that there are no more than 8 digits before the decimal point."]},
        ),
        ({"sum": "NaN"}, {"sum": ["A valid number is required."]}),
        ({"sum": ""}, {"sum": ["A valid number is required."]}),
        ({"sum": None}, {"sum": ["This field may not be null."]}),
        ({"sum": "-0.01"}, NEGATIVE),
        (
            {"date_of_payment": "05.11.2026", "profile": "x"},
            {
                "profile": ["Invalid hyperlink - No URL match."],
                "date_of_payment": [
                    "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
                ],
            },
        ),
        ({"profile": ""}, {"profile": ["This field may not be null."]}),
        ({"profile": f"/api/payment-profiles/{uuid4()}/"}, {"profile": NO_OBJECT}),
        (
            {"proof": "x"},
            {"proof": ["The submitted data was not a file. Check the encoding type on the form."]},
        ),
    ],
)
async def test_invalid_fields_change_nothing(
    case: Case, make: Factories, fields: dict[str, Any], errors: dict[str, Any]
) -> None:
    payment = await make.payment(case.profile)
    before = (await case.send("GET", f"{payment.uuid}/")).json()
    for method, path, body in (
        ("POST", "", case.body(**fields)),
        ("PUT", f"{payment.uuid}/", case.body(**fields)),
        ("PATCH", f"{payment.uuid}/", fields),
    ):
        answer = await case.send(method, path, json=body)
        assert (answer.status_code, answer.json()) == (400, errors), method
    assert await case.count() == 1
    assert (await case.send("GET", f"{payment.uuid}/")).json() == before


async def test_required_fields(case: Case) -> None:
    answer = await case.send("POST", json={})
    required = ["This field is required."]
    assert answer.status_code == 400
    assert answer.json() == {"profile": required, "date_of_payment": required}


async def test_only_an_active_profile_can_be_chosen(case: Case, make: Factories) -> None:
    inactive = await make.profile(case.customer, is_active=False)
    payment = await make.payment(inactive)
    body = case.body(profile=f"{BASE}/api/payment-profiles/{inactive.uuid}/")
    for method, path in (("POST", ""), ("PUT", f"{payment.uuid}/")):
        answer = await case.send(method, path, json=body)
        assert (answer.status_code, answer.json()) == (400, {"profile": NO_OBJECT})
    answer = await case.send("PATCH", f"{payment.uuid}/", json={"sum": "1.00"})
    assert (answer.status_code, answer.json()["sum"]) == (200, "1.00")


async def test_a_linked_payment_keeps_its_organization(case: Case, make: Factories) -> None:
    invoice = await make.invoice(case.customer, state=InvoiceState.PAID)
    payment = await make.payment(case.profile, invoice_id=invoice.id)
    other = await make.profile(await make.customer())
    body = {"profile": f"{BASE}/api/payment-profiles/{other.uuid}/"}
    answer = await case.send("PATCH", f"{payment.uuid}/", json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["profile"])
    free = await make.payment(case.profile)
    answer = await case.send("PATCH", f"{free.uuid}/", json=body)
    assert answer.json()["profile"] == body["profile"]


async def test_only_a_payment_of_an_invoice_in_favour_is_negative(
    case: Case, make: Factories
) -> None:
    for month, price, status in ((1, "10", 400), (2, "-10", 200)):
        invoice = await make.invoice(case.customer, Period(2026, month), InvoiceState.PAID)
        await make.item(invoice, price)
        payment = await make.payment(case.profile, invoice_id=invoice.id)
        answer = await case.send("PATCH", f"{payment.uuid}/", json={"sum": "-1"})
        assert answer.status_code == status
    assert answer.json()["sum"] == "-1.00"


async def test_a_proof_is_stored_replaced_and_removed(case: Case) -> None:
    file = {"proof": ("slip.pdf", PDF, "application/pdf")}
    answer = await case.send("POST", data=case.body(), files=file)
    assert answer.status_code == 201, answer.text
    payment = answer.json()
    assert payment["proof"] == f"{payment['url']}proof/"
    (first,) = await case.proof_keys()
    content = await case.client.get(payment["proof"], headers=case.headers)
    assert content.content == PDF

    other = {"proof": ("other.pdf", PDF + b"!", "application/pdf")}
    answer = await case.send("PATCH", f"{payment['uuid']}/", files=other)
    assert answer.status_code == 200, answer.text
    (second,) = await case.proof_keys()
    assert second != first
    assert (case.proof_dir / second).read_bytes() == PDF + b"!"

    answer = await case.send("PATCH", f"{payment['uuid']}/", json={"sum": "1"})
    assert answer.json()["proof"] is not None
    answer = await case.send("PATCH", f"{payment['uuid']}/", json={"proof": None})
    assert answer.json()["proof"] is None
    assert await case.proof_keys() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The submitted file is empty."),
        (
            b"text",
            "The submitted file is of an unknown type. Submit a PDF, PNG, JPEG, TIFF, WebP or"
            " HEIC file.",
        ),
    ],
)
async def test_an_invalid_proof_leaves_no_payment_and_no_file(
    case: Case, content: bytes, message: str
) -> None:
    files = {"proof": ("p.pdf", content)}
    answer = await case.send("POST", data=case.body(sum="x"), files=files)
    assert (answer.status_code, answer.json()) == (
        400,
        {"sum": ["A valid number is required."], "proof": [message]},
    )
    assert (await case.count(), case.files()) == (0, [])


async def test_a_refused_payment_leaves_no_file(case: Case) -> None:
    files = {"proof": ("p.pdf", PDF)}
    for body in (case.body(sum="-1"), case.body(profile=f"/api/payment-profiles/{uuid4()}/")):
        assert (await case.send("POST", data=body, files=files)).status_code == 400
    assert (await case.count(), case.files()) == (0, [])


async def test_a_repeated_request_keeps_one_payment_and_one_file(case: Case) -> None:
    key = {"Idempotency-Key": "k-1"}
    files = {"proof": ("p.pdf", PDF)}
    first = await case.send("POST", data=case.body(), files=files, headers=key)
    again = await case.send("POST", data=case.body(), files=files, headers=key)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert await case.count() == 1
    assert case.files() == await case.proof_keys()
    other = await case.send("POST", data=case.body(sum="1"), files=files, headers=key)
    assert other.status_code == 400
    assert await case.count() == 1


async def test_a_deleted_payment_is_gone(case: Case, make: Factories) -> None:
    invoice = await make.invoice(case.customer, state=InvoiceState.PAID)
    payment = await make.payment(case.profile, invoice_id=invoice.id, sum=Decimal(1))
    answer = await case.send("DELETE", f"{payment.uuid}/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await case.send("GET", f"{payment.uuid}/")).status_code == 404
    answer = await case.client.get(f"/api/invoices/{invoice.uuid}/", headers=case.headers)
    assert answer.json()["state"] == "paid"


async def test_if_match_compares_the_etag_of_the_retrieval(case: Case, make: Factories) -> None:
    payment = await make.payment(case.profile)
    path = f"{payment.uuid}/"
    headers = {"If-Match": (await case.send("GET", path)).headers["etag"]}
    assert (await case.send("PATCH", path, json={"sum": "1"}, headers=headers)).status_code == 200
    for method, body in (("PATCH", {"sum": "2"}), ("PUT", case.body()), ("DELETE", None)):
        answer = await case.send(method, path, json=body, headers=headers)
        assert (answer.status_code, answer.json()) == (
            412,
            {"detail": "The payment has changed meanwhile."},
        )
    assert (await case.send("GET", path)).json()["sum"] == "1.00"


async def test_the_proof_of_a_deleted_payment_is_swept(
    case: Case, database: Database, settings: Settings
) -> None:
    files = {"proof": ("slip.pdf", PDF)}
    deleted, kept = [
        (await case.send("POST", data=case.body(), files=files)).json()["uuid"] for _ in range(2)
    ]
    assert (await case.send("DELETE", f"{deleted}/")).status_code == 204
    for path in case.proof_dir.glob("*"):
        os.utime(path, (0, 0))
    await sweep_proofs(database, settings)
    assert case.files() == await case.proof_keys()
    assert (await case.send("GET", f"{kept}/")).json()["proof"] is not None


@pytest.mark.parametrize("role", ["owner", "support", "anonymous"])
async def test_only_staff_change_payments(case: Case, make: Factories, role: str) -> None:
    payment = await make.payment(case.profile)
    headers: dict[str, str] = {}
    if role == "owner":
        headers = (await make.owner(case.customer)).headers
    elif role == "support":
        headers = (await make.support()).headers
    for uuid in (payment.uuid, uuid4(), "malformed"):
        for method, path in (
            ("POST", ""),
            ("PUT", f"{uuid}/"),
            ("PATCH", f"{uuid}/"),
            ("DELETE", f"{uuid}/"),
            ("POST", f"{uuid}/link_to_invoice/"),
            ("POST", f"{uuid}/unlink_from_invoice/"),
        ):
            answer = await case.client.request(method, f"{URL}{path}", headers=headers, content="{")
            assert answer.status_code == (401 if role == "anonymous" else 403), (method, path)
    assert await case.count() == 1


async def test_a_change_takes_few_statements(
    case: Case, make: Factories, statements: list[str]
) -> None:
    payment = await make.payment(case.profile)
    await case.send("PATCH", f"{payment.uuid}/", json={"sum": "1"})
    for method, path, body, most in (
        ("POST", "", case.body(), 6),
        ("PATCH", f"{payment.uuid}/", {"sum": "2"}, 7),
        ("DELETE", f"{payment.uuid}/", None, 6),
    ):
        statements.clear()
        assert (await case.send(method, path, json=body)).is_success
        assert len(statements) <= most, statements
