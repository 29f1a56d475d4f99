"""The import of usage: lines of customers become items of a month's invoices."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.invoices.models import Invoice, InvoiceItem
from tests.support.factories import Factories, Row, UserRow

URL = "/api/invoices/import_usage/"
OCTOBER = Period(2026, 10)


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer(name="Ärzte GmbH", default_tax_percent=Decimal(7))


class Importer:
    """Imports lines for October as staff."""

    def __init__(self, client: httpx.AsyncClient, user: UserRow) -> None:
        self._client, self._headers = client, user.headers

    async def send(self, *lines: dict[str, Any], **options: Any) -> httpx.Response:
        body = {"year": 2026, "month": 10, "items": list(lines)} | options
        return await self._client.post(URL, json=body, headers=self._headers)

    async def __call__(self, *lines: dict[str, Any], **options: Any) -> Any:
        answer = await self.send(*lines, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def usage(client: httpx.AsyncClient, staff: UserRow) -> Importer:
    return Importer(client, staff)


def line(customer: Row | None = None, **values: Any) -> dict[str, Any]:
    named = {} if customer is None else {"customer_uuid": str(customer.uuid)}
    return {"name": "Traffic", "unit_price": "1.5", **named, **values}


async def items(connection: AsyncConnection) -> list[Any]:
    statement = select(InvoiceItem.__table__, Invoice.year, Invoice.month, Invoice.state)
    joined = statement.join(Invoice, Invoice.id == InvoiceItem.invoice_id)
    return list(await connection.execute(joined.order_by(InvoiceItem.id)))


async def test_a_line_becomes_an_item_with_the_dates_of_its_own_month(
    usage: Importer, customer: Row, connection: AsyncConnection
) -> None:
    names = {"service_provider_name": "Provider", "offering_name": "Offering", "plan_name": ""}
    result = await usage(line(customer, article_code="A-1", **names))
    assert result == {"created": 1, "skipped": 0, "errors": []}
    (item,) = await items(connection)
    assert (item.name, item.unit_price, item.quantity, item.unit) == (
        "Traffic", Decimal("1.5"), 1, "quantity",
    )  # fmt: skip
    assert (item.start, item.end) == (OCTOBER.start, OCTOBER.end)
    assert (item.article_code, item.project_id, item.resource_id) == ("A-1", None, None)
    assert item.details == {"service_provider_name": "Provider", "offering_name": "Offering"}
    assert (item.year, item.month, item.state) == (2026, 10, "pending")
    invoice = (await connection.execute(select(Invoice))).one()
    assert (invoice.tax_percent, invoice.total_price) == (7, Decimal("1.5"))


async def test_a_customer_is_found_by_name_whatever_its_case(
    usage: Importer, customer: Row, connection: AsyncConnection
) -> None:
    assert (await usage(line(customer_name="äRZTE gmbh")))["created"] == 1
    (item,) = await items(connection)
    found = select(Invoice.customer_id).where(Invoice.id == item.invoice_id)
    assert (await connection.execute(found)).scalar_one() == customer.id


async def test_errors_do_not_stop_the_other_lines(
    usage: Importer, make: Factories, customer: Row, connection: AsyncConnection
) -> None:
    issued = await make.customer(name="Issued")
    await make.invoice(issued, OCTOBER, InvoiceState.PAID)
    for _ in range(2):
        await make.customer(name="Twin")
    unknown = str(uuid4())
    result = await usage(
        line(customer),
        line(customer_name="Nobody"),
        line(customer_uuid=unknown),
        line(customer_name="twin"),
        line(issued, customer_name="Issued"),
    )
    assert (result["created"], result["skipped"]) == (1, 0)
    closed = (
        "The invoice of 2026-10 is paid and takes no more items. Add them to an invoice that is not"
        " issued, or create a credit note."
    )
    assert result["errors"] == [
        {"customer_name": "Nobody", "reason": "Customer not found."},
        {"customer_name": unknown, "reason": "Customer not found."},
        {"customer_name": "twin", "reason": "Several customers have this name."},
        {"customer_name": "Issued", "reason": closed},
    ]
    assert len(await items(connection)) == 1


async def test_lines_of_zero_open_no_invoice(
    usage: Importer, customer: Row, connection: AsyncConnection
) -> None:
    result = await usage(line(customer, unit_price="0"))
    assert result == {"created": 0, "skipped": 1, "errors": []}
    assert (await connection.execute(select(func.count()).select_from(Invoice))).scalar_one() == 0


async def test_two_lines_of_one_name_are_two_items_unless_they_were_there_before(
    usage: Importer, customer: Row, connection: AsyncConnection
) -> None:
    lines = [line(customer), line(customer, unit_price="-2"), line(customer, article_code="B")]
    assert await usage(*lines) == {"created": 3, "skipped": 0, "errors": []}
    assert await usage(*lines) == {"created": 0, "skipped": 3, "errors": []}
    assert await usage(line(customer, article_code="C")) == {
        "created": 1, "skipped": 0, "errors": [],
    }  # fmt: skip
    assert [item.price for item in await items(connection)] == [
        Decimal("1.5"), -2, Decimal("1.5"), Decimal("1.5"),
    ]  # fmt: skip


async def test_late_usage_is_imported_in_the_grace_period(
    usage: Importer, make: Factories, customer: Row
) -> None:
    await make.invoice(customer, OCTOBER, InvoiceState.PENDING_FINALIZATION, invoice_date=None)
    assert (await usage(line(customer)))["created"] == 1


async def test_lines_of_many_customers_take_as_many_statements_as_those_of_few(
    usage: Importer, make: Factories, statements: list[str], connection: AsyncConnection
) -> None:
    counts = []
    for number in (2, 2, 30):  # the first request looks up the token
        customers = [await make.customer() for _ in range(number)]
        await make.invoice(customers[-1], OCTOBER)
        statements.clear()
        assert (await usage(*map(line, customers)))["created"] == number
        counts.append(len(statements))
    assert counts[1] == counts[2]
    totals = (await connection.execute(select(Invoice.total_price))).scalars().all()
    assert totals == [Decimal("1.5")] * 34


async def test_requests_at_once_import_a_line_once(
    usage: Importer, customer: Row, connection: AsyncConnection
) -> None:
    results = await asyncio.gather(*(usage(line(customer)) for _ in range(4)))
    assert sorted((each["created"], each["skipped"]) for each in results) == [
        (0, 1), (0, 1), (0, 1), (1, 0),
    ]  # fmt: skip
    assert len(await items(connection)) == 1


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"year": 1999}, "year", ["Ensure this value is greater than or equal to 2000."]),
        ({"month": 13}, "month", ["Ensure this value is less than or equal to 12."]),
        ({"month": "x"}, "month", ["A valid integer is required."]),
        ({"items": []}, "items", {"non_field_errors": ["This list may not be empty."]}),
        ({"items": [{}]}, "items", [{"name": ["This field is required."],
                                     "unit_price": ["This field is required."]}]),
        ({"items": [{"name": "A", "unit_price": "1"}]}, "items",
         [{"non_field_errors": ["Either customer_name or customer_uuid is required."]}]),
        ({"items": [line(customer_name="A", article_code="a" * 31)]}, "items",
         [{"article_code": ["Ensure this field has no more than 30 characters."]}]),
    ],
)  # fmt: skip
async def test_wrong_bodies_are_refused(
    options: dict[str, Any], field: str, expected: Any, usage: Importer, customer: Row
) -> None:
    answer = await usage.send(line(customer), **options)
    assert (answer.status_code, answer.json()) == (400, {field: expected})


async def test_only_staff_import_usage(
    make: Factories, client: httpx.AsyncClient, customer: Row
) -> None:
    for user in (await make.support(), await make.owner(customer)):
        answer = await Importer(client, user).send(line(customer))
        assert answer.status_code == 403
