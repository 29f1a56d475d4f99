"""`set_backend_id`, `set_payment_url`, `set_reference_number`: which values are stored."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.invoices.models import Invoice
from tests.support.factories import Factories, Row

FIELDS = {"backend_id": 255, "payment_url": 200, "reference_number": 300}
URL = "https://pay.example.com/x?y=1&z=ä"
NO_URL = "Enter a valid URL."
NO_TEXT = "Not a valid string."


class Case:
    """A created invoice with a value in each field, and staff to change it."""

    def __init__(self, client: httpx.AsyncClient, connection: AsyncConnection) -> None:
        self.client = client
        self.connection = connection
        self.invoice: Row
        self.headers: dict[str, str]

    async def set(self, field: str, **body: Any) -> httpx.Response:
        path = f"/api/invoices/{self.invoice.uuid}/set_{field}/"
        headers = self.headers | body.pop("headers", {})
        return await self.client.post(path, headers=headers, **body)

    async def stored(self, field: str) -> str:
        column = Invoice.__table__.c[field]
        statement = select(column).where(Invoice.id == self.invoice.id)
        return str((await self.connection.execute(statement)).scalar_one())

    async def revision(self) -> int:
        statement = select(Invoice.revision).where(Invoice.id == self.invoice.id)
        return (await self.connection.execute(statement)).scalar_one()


@pytest.fixture
async def case(client: httpx.AsyncClient, connection: AsyncConnection, make: Factories) -> Case:
    case = Case(client, connection)
    case.invoice = await make.invoice(
        await make.customer(),
        state=InvoiceState.CREATED,
        backend_id="old",
        payment_url="old",
        reference_number="old",
    )
    case.headers = (await make.staff()).headers
    return case


def assert_done(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    assert answer.headers["content-length"] == "0"
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("form", ["json", "data", "multipart"])
async def test_every_kind_of_body(case: Case, field: str, form: str) -> None:
    body: dict[str, Any] = {form: {field: f"  {URL}\t", "state": "paid", "uuid": "x"}}
    if form == "multipart":
        body = {"files": {name: (None, value) for name, value in body[form].items()}}
    assert_done(await case.set(field, **body))
    assert await case.stored(field) == URL
    assert await case.stored("state") == "created"
    shown = await case.client.get(f"/api/invoices/{case.invoice.uuid}/", headers=case.headers)
    assert shown.json()[field] == URL


@pytest.mark.parametrize("field", FIELDS)
async def test_nothing_asked_changes_nothing(case: Case, field: str, statements: list[str]) -> None:
    revision = await case.revision()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    bodies: list[dict[str, Any]] = [
        {},
        {"json": {}},
        {"json": {"other": 1}},
        {"data": {"foo": "bar"}},
        {"headers": form},
        {"headers": {"Content-Type": "text/plain"}},
    ]
    for body in bodies:
        statements.clear()
        assert_done(await case.set(field, **body))
        assert not any("UPDATE invoices" in statement for statement in statements)
    assert await case.stored(field) == "old"

    if field != "payment_url":
        assert_done(await case.set(field, json={field: " old "}))
    assert await case.revision() == revision


@pytest.mark.parametrize("field", FIELDS)
async def test_an_empty_text_clears(case: Case, field: str) -> None:
    for body in ({"json": {field: " \n"}}, {"data": {field: ""}}):
        assert_done(await case.set(field, json={field: URL}))
        assert_done(await case.set(field, **body))
        assert await case.stored(field) == ""


@pytest.mark.parametrize("state", InvoiceState)
async def test_any_state(case: Case, make: Factories, state: InvoiceState) -> None:
    case.invoice = await make.invoice(await make.customer(), state=state)
    for field in FIELDS:
        assert_done(await case.set(field, json={field: URL}))
        assert await case.stored(field) == URL


@pytest.mark.parametrize("field", ["backend_id", "reference_number"])
@pytest.mark.parametrize(("value", "text"), [(12, "12"), (-1.5, "-1.5"), (0, "0")])
async def test_a_number_is_taken_as_its_text(
    case: Case, field: str, value: float, text: str
) -> None:
    assert_done(await case.set(field, json={field: value}))
    assert await case.stored(field) == text


@pytest.mark.parametrize("field", FIELDS)
async def test_lengths(case: Case, field: str) -> None:
    limit = FIELDS[field]
    fits = "https://pay.example.com/".ljust(limit, "õ")
    assert_done(await case.set(field, json={field: f" {fits} "}))
    assert await case.stored(field) == fits
    answer = await case.set(field, json={field: fits + "x"})
    assert answer.status_code == 400
    assert answer.json() == {field: [f"Ensure this field has no more than {limit} characters."]}
    assert await case.stored(field) == fits


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("null", "This field may not be null."),
        ("true", None),
        ('["a"]', None),
        ('{"a": 1}', None),
        ('"https://example.com/\\u0000"', "Null characters are not allowed."),
        ('"https://example.com/\\ud800"', "Surrogate characters are not allowed: U+D800."),
    ],
)
async def test_values_that_are_refused(
    case: Case, field: str, value: str, message: str | None
) -> None:
    no_kind = NO_URL if field == "payment_url" else NO_TEXT
    messages = [message or no_kind]
    if field == "payment_url" and "example" in value:
        messages.append(NO_URL)
    answer = await case.set(
        field,
        content=f'{{"{field}": {value}}}',
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()) == (400, {field: messages})
    assert await case.stored(field) == "old"


async def test_a_file_is_no_text(case: Case) -> None:
    for field, message in (("backend_id", NO_TEXT), ("payment_url", NO_URL)):
        answer = await case.set(field, files={field: ("f.txt", b"x")})
        assert (answer.status_code, answer.json()) == (400, {field: [message]})


async def test_an_invalid_url_is_refused(case: Case) -> None:
    answer = await case.set("payment_url", json={"payment_url": "a.b"})
    assert (answer.status_code, answer.json()) == (400, {"payment_url": [NO_URL]})
    answer = await case.set("payment_url", json={"payment_url": "x" * 201})
    assert answer.json() == {
        "payment_url": ["Ensure this field has no more than 200 characters.", NO_URL]
    }
    assert await case.stored("payment_url") == "old"


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("content", "content_type", "status", "expected_detail"),
    [
        (
            "{} x",
            "application/json",
            400,
            "JSON parse error - Extra data: line 1 column 4 (char 3)",
        ),
        ("--B", "multipart/form-data; boundary=B", 400, None),
        ("<a/>", "application/xml", 415, 'Unsupported media type "application/xml" in request.'),
        ("x", "text/plain", 415, 'Unsupported media type "text/plain" in request.'),
        ("{}", None, 415, 'Unsupported media type "" in request.'),
        (
            " " * 1_100_000,
            "application/json",
            413,
            "The request body is larger than 1048576 bytes.",
        ),
    ],
)
async def test_bodies_that_are_refused(
    *,
    case: Case,
    field: str,
    content: str,
    content_type: str | None,
    status: int,
    expected_detail: str | None,
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await case.set(field, content=content.encode(), headers=headers)
    assert answer.status_code == status
    assert expected_detail in (None, answer.json()["detail"])
    assert await case.stored(field) == "old"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=320),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(sorted(FIELDS)), value=_VALUES)
async def test_any_value_is_stored_or_refused(case: Case, field: str, value: Any) -> None:
    before = await case.stored(field)
    try:
        answer = await case.set(field, json={field: value})
    except ValueError:  # infinity, which the client does not write
        return
    if answer.status_code == 200:
        assert await case.stored(field) == str(value).strip()
    else:
        assert answer.status_code == 400
        assert list(answer.json()) == [field]
        assert await case.stored(field) == before
