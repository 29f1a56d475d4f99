"""Changes of items by staff: update, delete, move, compensate."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import BillingType, BillingUnit, InvoiceState
from app.billing.periods import Period
from app.invoices.models import Invoice, InvoiceItem
from tests.support.factories import Factories, Row, UserRow

ITEMS = "/api/invoice-items"
OCTOBER, NOVEMBER = Period(2026, 10), Period(2026, 11)
ISSUED = (InvoiceState.CREATED, InvoiceState.PAID, InvoiceState.CANCELED)
CHANGEABLE = (InvoiceState.PENDING, InvoiceState.PENDING_FINALIZATION)


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 23, tzinfo=UTC))


Call = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


@pytest.fixture
def call(client: httpx.AsyncClient, staff: UserRow) -> Call:
    """Send a request about an item as staff."""

    async def send(method: str, item: Row | UUID, path: str = "", **options: Any) -> httpx.Response:
        uuid = item if isinstance(item, UUID) else item.uuid
        headers = options.pop("headers", staff.headers)
        url = f"{ITEMS}/{uuid}/{path}"
        return await client.request(method, url, headers=headers, **options)

    return send


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer()


@pytest.fixture
async def invoice(make: Factories, customer: Row) -> Row:
    return await make.invoice(customer, NOVEMBER)


@pytest.fixture
async def item(make: Factories, invoice: Row) -> Row:
    return await make.item(invoice, "10", quantity=3, start=NOVEMBER.start, end=NOVEMBER.end)


async def component(make: Factories, billing_type: BillingType) -> int:
    offering = await make.offering()
    part = await make.component(offering, billing_type=billing_type)
    return (await make.plan_component(await make.plan(offering), part)).id


async def prices(connection: AsyncConnection, invoice: Row) -> tuple[Any, list[Any]]:
    """Return the total price of an invoice, and the prices of its items."""
    total = select(Invoice.total_price).where(Invoice.id == invoice.id)
    parts = select(InvoiceItem.price).where(InvoiceItem.invoice_id == invoice.id)
    ordered = parts.order_by(InvoiceItem.id)
    return (
        (await connection.execute(total)).scalar_one(),
        list((await connection.execute(ordered)).scalars()),
    )


def request_of(action: str, target: Row) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and body of an action."""
    return {
        "update": ("PUT", "", {"article_code": "X"}),
        "partial_update": ("PATCH", "", {"quantity": "2"}),
        "destroy": ("DELETE", "", {}),
        "migrate_to": ("POST", "migrate_to/", {"invoice": f"/api/invoices/{target.uuid}/"}),
        "create_compensation": ("POST", "create_compensation/", {"offering_component_name": "CPU"}),
    }[action]


ACTIONS = ("update", "partial_update", "destroy", "migrate_to", "create_compensation")


@pytest.mark.parametrize("action", ACTIONS)
async def test_only_staff_change_items(
    action: str, make: Factories, call: Call, customer: Row, item: Row
) -> None:
    method, path, body = request_of(action, await make.invoice(customer, OCTOBER))
    for user in (await make.owner(customer), await make.support()):
        for target in (item.uuid, uuid4()):
            answer = await call(method, target, path, json=body, headers=user.headers)
            assert answer.status_code == 403
    assert (await call(method, uuid4(), path, json=body)).status_code == 404


@pytest.mark.parametrize("action", ["update", "partial_update", "destroy", "migrate_to"])
@pytest.mark.parametrize("state", ISSUED)
async def test_the_items_of_an_issued_invoice_do_not_change(  # noqa: PLR0917 - pytest's fixtures
    action: str,
    state: InvoiceState,
    make: Factories,
    call: Call,
    customer: Row,
    connection: AsyncConnection,
) -> None:
    issued = await make.invoice(customer, OCTOBER, state)
    item = await make.item(issued, "5")
    method, path, body = request_of(action, await make.invoice(customer, NOVEMBER))
    answer = await call(method, item, path, json=body)
    assert answer.status_code == 409
    message = answer.json()["detail"]
    assert state in message
    assert "compensation" in message
    assert "credit note" in message
    assert await prices(connection, issued) == (5, [5])


@pytest.mark.parametrize("state", CHANGEABLE)
async def test_an_item_without_a_component_takes_every_field(
    state: InvoiceState, make: Factories, call: Call, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(), OCTOBER, state, invoice_date=None)
    item = await make.item(invoice)
    body = {
        "article_code": "NEW",
        "quantity": "2.5",
        "unit_price": "4.0000000001",
        "start": "2026-11-05",
        "end": "2026-11-06T12:00:00+02:00",
    }
    answer = await call("PATCH", item, json=body)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "article_code": "NEW",
            "quantity": "2.5000000000",
            "unit_price": "4.0000000001",
            "start": "2026-11-05T00:00:00Z",
            "end": "2026-11-06T10:00:00Z",
        },
    )
    expected = Decimal("10.01")
    assert await prices(connection, invoice) == (expected, [expected])


async def test_the_dates_of_a_fixed_component_determine_its_quantity(
    make: Factories, call: Call, invoice: Row, connection: AsyncConnection
) -> None:
    part = await component(make, BillingType.FIXED)
    item = await make.item(
        invoice, "100", quantity=30, unit=BillingUnit.DAY, plan_component_id=part,
        start=NOVEMBER.start, end=NOVEMBER.end,
    )  # fmt: skip
    body = {"quantity": "7.5"}
    assert (await call("PATCH", item, json=body)).json()["quantity"] == "30.0000000000"
    body = {"start": "2026-11-10T00:00:00Z", "end": "2026-11-20T23:59:59Z", "quantity": "7.5"}
    assert (await call("PATCH", item, json=body)).json()["quantity"] == "11.0000000000"
    assert await prices(connection, invoice) == (1100, [1100])


@pytest.mark.parametrize("billing_type", sorted(set(BillingType) - {BillingType.FIXED}))
async def test_other_components_keep_their_dates(
    billing_type: BillingType, make: Factories, call: Call, invoice: Row
) -> None:
    part = await component(make, billing_type)
    item = await make.item(invoice, plan_component_id=part)
    body = {"quantity": "7.5", "start": "2026-11-10T00:00:00Z", "end": "2026-11-01T00:00:00Z"}
    answer = (await call("PUT", item, json=body)).json()
    assert answer["quantity"] == "7.5000000000"
    assert (answer["start"], answer["end"]) == (
        "2026-10-01T00:00:00Z",
        "2026-10-31T23:59:59.999999Z",
    )


@pytest.mark.parametrize(
    ("billing_type", "unit", "body", "field"),
    [
        (BillingType.FIXED, BillingUnit.DAY, {"end": "2026-10-01T00:00:00Z"}, "end"),
        (BillingType.FIXED, BillingUnit.DAY, {"quantity": "-1"}, "quantity"),
        (BillingType.FIXED, BillingUnit.MONTH, {"end": "2026-12-01T00:00:00Z"}, "end"),
        (None, BillingUnit.DAY, {"end": "2026-10-01T00:00:00Z"}, "end"),
        (None, BillingUnit.DAY, {"article_code": "a" * 31}, "article_code"),
        (None, BillingUnit.DAY, {"article_code": None}, "article_code"),
        (None, BillingUnit.DAY, {"quantity": "x"}, "quantity"),
        (None, BillingUnit.DAY, {"quantity": "0.00000000001"}, "quantity"),
        (None, BillingUnit.DAY, {"unit_price": "1e12"}, "unit_price"),
        (None, BillingUnit.DAY, {"start": "yesterday"}, "start"),
    ],
)
async def test_wrong_values_are_refused(  # noqa: PLR0917 - pytest's fixtures
    billing_type: BillingType | None,
    unit: BillingUnit,
    body: dict[str, Any],
    field: str,
    make: Factories,
    call: Call,
    invoice: Row,
    connection: AsyncConnection,
) -> None:
    part = None if billing_type is None else await component(make, billing_type)
    item = await make.item(
        invoice, "5", unit=unit, plan_component_id=part, start=NOVEMBER.start, end=NOVEMBER.end
    )
    answer = await call("PATCH", item, json=body)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == [field]
    assert await prices(connection, invoice) == (5, [5])


async def test_a_total_that_is_too_large_is_refused(call: Call, item: Row) -> None:
    body = {"quantity": "999999999999", "unit_price": "999999999999"}
    answer = await call("PATCH", item, json=body)
    assert answer.status_code == 400
    assert answer.json() == ["The total of the invoice would have more than 20 digits."]


async def test_a_body_without_fields_changes_nothing(
    call: Call, item: Row, invoice: Row, connection: AsyncConnection
) -> None:
    revision = select(Invoice.revision).where(Invoice.id == invoice.id)
    before = (await connection.execute(revision)).scalar_one()
    assert (await call("PATCH", item, json={})).status_code == 200
    assert (await connection.execute(revision)).scalar_one() == before


async def test_an_item_is_deleted(
    call: Call, item: Row, invoice: Row, connection: AsyncConnection
) -> None:
    answer = await call("DELETE", item)
    assert (answer.status_code, answer.content) == (204, b"")
    assert await prices(connection, invoice) == (0, [])
    assert (await call("GET", item)).status_code == 404


@pytest.mark.parametrize("action", ["update", "partial_update", "migrate_to"])
async def test_the_state_of_the_invoice_is_checked_before_the_body(
    action: str, make: Factories, call: Call, staff: UserRow, customer: Row
) -> None:
    issued = await make.invoice(customer, OCTOBER, InvoiceState.CREATED)
    item = await make.item(issued, "5")
    method, path, _ = request_of(action, issued)
    wrong = {"unit_price": "x", "invoice": "x"}
    for key in ({}, {"Idempotency-Key": "k" * 20}):
        answer = await call(method, item, path, json=wrong, headers=staff.headers | key)
        assert (answer.status_code, list(answer.json())) == (409, ["detail"])


async def test_an_item_by_which_a_credit_paid_does_not_change(
    make: Factories, call: Call, customer: Row, invoice: Row
) -> None:
    credit = await make.credit(customer)
    paid = await make.item(invoice, "-1", credit=True, customer_credit_id=credit.id)
    other = await make.invoice(customer, OCTOBER)
    for action in ("update", "destroy", "migrate_to"):
        method, path, body = request_of(action, other)
        answer = await call(method, paid, path, json=body)
        assert answer.status_code == 409
        assert "compensations" in answer.json()["detail"]


async def test_an_item_moves_with_its_price(  # noqa: PLR0917 - pytest's fixtures
    make: Factories,
    call: Call,
    customer: Row,
    invoice: Row,
    item: Row,
    connection: AsyncConnection,
) -> None:
    target = await make.invoice(customer, OCTOBER)
    url = f"http://anywhere/api/invoices/{target.uuid}/"
    answer = await call("POST", item, "migrate_to/", json={"invoice": url})
    assert answer.status_code == 200
    assert answer.json() == {
        "invoice_item_uuid": str(item.uuid),
        "invoice": f"http://invoicing.example/api/invoices/{target.uuid}/",
    }
    assert await prices(connection, invoice) == (0, [])
    assert await prices(connection, target) == (30, [30])


async def test_an_item_moves_to_an_open_invoice_of_its_customer_only(
    make: Factories, call: Call, customer: Row, invoice: Row, item: Row
) -> None:
    foreign = await make.invoice(await make.customer(), OCTOBER)
    issued = await make.invoice(customer, OCTOBER, InvoiceState.CREATED)
    cases: list[tuple[Any, int, Any]] = [
        (f"/api/invoices/{foreign.uuid}/", 400,
         ["Moving of items is possible only between invoices of same the customer."]),
        (f"/api/invoices/{invoice.uuid}/", 400, ["The item is on this invoice already."]),
        (f"/api/invoices/{uuid4()}/", 400,
         {"invoice": ["Invalid hyperlink - Object does not exist."]}),
        ("/api/customers/x/", 400, {"invoice": ["Invalid hyperlink - No URL match."]}),
        (None, 400, {"invoice": ["This field may not be null."]}),
    ]  # fmt: skip
    for url, status, expected in cases:
        answer = await call("POST", item, "migrate_to/", json={"invoice": url})
        assert (answer.status_code, answer.json()) == (status, expected), url
    answer = await call("POST", item, "migrate_to/", json={})
    assert answer.json() == {"invoice": ["This field is required."]}
    url = f"/api/invoices/{issued.uuid}/"
    answer = await call("POST", item, "migrate_to/", json={"invoice": url})
    assert answer.status_code == 409
    assert "2026-10 is created" in answer.json()["detail"]


@pytest.mark.parametrize("has_invoice", [False, True])
@pytest.mark.parametrize("state", [*CHANGEABLE, *ISSUED])
async def test_an_item_is_compensated_on_the_invoice_of_the_running_month(  # noqa: PLR0917
    has_invoice: bool,
    state: InvoiceState,
    make: Factories,
    call: Call,
    customer: Row,
    connection: AsyncConnection,
) -> None:
    dates = {"invoice_date": None} if state in CHANGEABLE else {}
    october = await make.invoice(customer, OCTOBER, state, **dates)
    if has_invoice:
        await make.invoice(customer, NOVEMBER)
    item = await make.item(october, "0.333", quantity=2, details={"plan_name": "Plan"})
    body = {"offering_component_name": "CPU"}
    for number in (1, 2):  # each request adds another one
        answer = await call("POST", item, "create_compensation/", json=body)
        assert answer.status_code == 201
        added = (await call("GET", UUID(answer.json()["invoice_item_uuid"]))).json()
        assert (added["unit_price"], added["quantity"]) == ("-0.3330000000", "2.0000000000")
        assert (added["price"], added["start"]) == (-0.67, "2026-10-01T00:00:00Z")
        assert added["details"] == {
            "plan_name": "Plan",
            "offering_component_name": "CPU",
            "original_invoice_item_uuid": str(item.uuid),
        }
        statement = select(Invoice).where(Invoice.customer_id == customer.id, Invoice.month == 11)
        row = (await connection.execute(statement)).one()
        assert added["invoice"].endswith(f"/api/invoices/{row.uuid}/")
        assert (row.state, row.tax_percent) == ("pending", 20)
        assert row.total_price == Decimal("-0.67") * number
        # It compensates: it does not lower the costs that were incurred.
        assert (row.compensations, row.incurred_costs) == (Decimal("-0.666") * number, 0)


async def test_a_given_price_is_compensated_to_the_cent(
    make: Factories, call: Call, invoice: Row, connection: AsyncConnection
) -> None:
    item = await make.item(invoice, "0.333", price=Decimal("0.33"))
    await call("POST", item, "create_compensation/", json={"offering_component_name": "CPU"})
    assert await prices(connection, invoice) == (0, [Decimal("0.33"), Decimal("-0.33")])


async def test_a_compensation_needs_a_component_and_a_price_that_is_not_negative(
    make: Factories, call: Call, invoice: Row
) -> None:
    negative = await make.item(invoice, "-1")
    field = "offering_component_name"
    for body, expected in (
        ({}, {field: ["This field is required."]}),
        ({field: ""}, {field: ["This field may not be blank."]}),
        (
            {field: "CPU"},
            ["Can not create compensation for invoice item with negative unit price."],
        ),
    ):
        answer = await call("POST", negative, "create_compensation/", json=body)
        assert (answer.status_code, answer.json()) == (400, expected)
    free = await make.item(invoice, "0")
    body = {"offering_component_name": "CPU"}
    assert (await call("POST", free, "create_compensation/", json=body)).status_code == 201


async def test_an_issued_invoice_takes_no_compensation(
    make: Factories, call: Call, customer: Row
) -> None:
    item = await make.item(await make.invoice(customer, OCTOBER, InvoiceState.PAID))
    await make.invoice(customer, NOVEMBER, InvoiceState.CREATED)
    body = {"offering_component_name": "CPU"}
    answer = await call("POST", item, "create_compensation/", json=body)
    assert answer.status_code == 409
    assert "2026-11 is created and takes no more items" in answer.json()["detail"]
