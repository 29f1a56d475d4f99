"""Changes of items at the same time, repeated requests, and their record."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.actions.issue import IssueInvoice, issue
from app.invoices.models import Invoice, InvoiceItem
from app.settings import Settings
from tests.support.factories import Factories, Row, UserRow

ITEMS = "/api/invoice-items"
OCTOBER = Period(2026, 10)


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


async def check_totals(connection: AsyncConnection) -> None:
    """Compare the totals of all invoices with their items."""
    for invoice in (await connection.execute(select(Invoice))).all():
        items = select(InvoiceItem.price).where(InvoiceItem.invoice_id == invoice.id)
        prices = (await connection.execute(items)).scalars()
        assert invoice.total_price == sum(prices, Decimal(0))


async def test_an_item_does_not_change_after_its_invoice_was_issued_meanwhile(  # noqa: PLR0917
    make: Factories,
    client: httpx.AsyncClient,
    staff: UserRow,
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
) -> None:
    invoice = await make.invoice(await make.customer(), OCTOBER)
    item = await make.item(invoice, "10")
    url = f"{ITEMS}/{item.uuid}/"
    async with database.transaction() as other:
        await issue(other, IssueInvoice(invoice.id), settings)
        waiting = asyncio.create_task(
            client.patch(url, json={"unit_price": "1"}, headers=staff.headers)
        )
        await asyncio.sleep(0.2)
        assert not waiting.done()
    answer = await waiting
    assert answer.status_code == 409
    statement = select(Invoice.state, Invoice.total_price).where(Invoice.id == invoice.id)
    assert (await connection.execute(statement)).one() == (InvoiceState.CREATED, 10)


async def test_an_item_that_is_moved_twice_at_once_is_on_one_invoice(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    source = await make.invoice(customer, OCTOBER)
    targets = [await make.invoice(customer, OCTOBER.shifted(-n)) for n in (1, 2, 3)]
    item = await make.item(source, "10")
    url = f"{ITEMS}/{item.uuid}/migrate_to/"
    answers = await asyncio.gather(
        *(
            client.post(
                url, json={"invoice": f"/api/invoices/{target.uuid}/"}, headers=staff.headers
            )
            for target in targets
        )
    )
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    await check_totals(connection)
    totals = select(Invoice.total_price).where(Invoice.customer_id == customer.id)
    assert sorted((await connection.execute(totals)).scalars()) == [0, 0, 0, 10]


async def test_an_item_that_is_deleted_twice_at_once_is_found_once(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    item = await make.item(await make.invoice(await make.customer()))
    url = f"{ITEMS}/{item.uuid}/"
    answers = await asyncio.gather(*(client.delete(url, headers=staff.headers) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [204, 404, 404]
    await check_totals(connection)


async def test_compensations_at_once_open_one_invoice(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    item = await make.item(await make.invoice(customer, OCTOBER, InvoiceState.PAID), "10")
    url = f"{ITEMS}/{item.uuid}/create_compensation/"
    body = {"offering_component_name": "CPU"}
    answers = await asyncio.gather(
        *(client.post(url, json=body, headers=staff.headers) for _ in range(4))
    )
    assert [answer.status_code for answer in answers] == [201] * 4
    total = select(Invoice.total_price).where(
        Invoice.customer_id == customer.id, Invoice.month == 11
    )
    assert (await connection.execute(total)).scalar_one() == -40


async def test_a_repeated_request_compensates_once(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(), Period(2026, 11))
    item = await make.item(invoice, "10")
    url = f"{ITEMS}/{item.uuid}/create_compensation/"
    headers = staff.headers | {"Idempotency-Key": "once"}
    body = {"offering_component_name": "CPU"}
    first, second = [await client.post(url, json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    total = select(Invoice.total_price).where(Invoice.id == invoice.id)
    assert (await connection.execute(total)).scalar_one() == 0


async def test_a_change_may_require_the_current_version(
    make: Factories, client: httpx.AsyncClient, staff: UserRow
) -> None:
    item = await make.item(await make.invoice(await make.customer()))
    url = f"{ITEMS}/{item.uuid}/"
    headers = staff.headers | {"Accept-Encoding": "identity"}
    etag = (await client.get(url, headers=headers)).headers["etag"]
    conditional = headers | {"If-Match": etag}
    answer = await client.patch(url, json={"quantity": "2"}, headers=conditional)
    assert answer.status_code == 200
    for method in ("PATCH", "DELETE"):
        answer = await client.request(method, url, json={"quantity": "3"}, headers=conditional)
        assert answer.status_code == 412
    assert answer.json() == {"detail": "The invoice item has changed meanwhile."}


@pytest.mark.parametrize(
    ("method", "path", "body", "comment"),
    [
        ("PATCH", "", {"quantity": "2"}, "Item changed."),
        ("DELETE", "", {}, "Item deleted."),
        ("POST", "create_compensation/", {"offering_component_name": "CPU"}, "Item compensated."),
    ],
)
async def test_the_history_names_the_change_and_its_author(  # noqa: PLR0917 - pytest's fixtures
    method: str,
    path: str,
    body: dict[str, str],
    comment: str,
    make: Factories,
    client: httpx.AsyncClient,
    staff: UserRow,
) -> None:
    invoice = await make.invoice(await make.customer(), Period(2026, 11))
    item = await make.item(invoice)
    url = f"{ITEMS}/{item.uuid}/{path}"
    await client.request(method, url, json=body, headers=staff.headers)
    answer = await client.get(f"/api/invoices/{invoice.uuid}/history/", headers=staff.headers)
    newest = answer.json()[0]
    assert newest["revision_comment"] == comment
    assert newest["revision_user"]["uuid"] == str(staff.uuid)


async def test_a_move_is_in_the_history_of_both_invoices(
    make: Factories, client: httpx.AsyncClient, staff: UserRow
) -> None:
    customer = await make.customer()
    source, target = [await make.invoice(customer, OCTOBER.shifted(-n)) for n in (0, 1)]
    item: Row = await make.item(source)
    body = {"invoice": f"/api/invoices/{target.uuid}/"}
    await client.post(f"{ITEMS}/{item.uuid}/migrate_to/", json=body, headers=staff.headers)
    for invoice in (source, target):
        answer = await client.get(f"/api/invoices/{invoice.uuid}/history/", headers=staff.headers)
        assert answer.json()[0]["revision_comment"] == "Item moved."
