"""Issued invoices are read from stored bytes, which equal what the schemas render."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import ResponseCache
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.invoices.jobs.represent_issued import represent_issued
from app.invoices.rendering import invoices as invoice_rendering
from app.invoices.rendering import represented_documents
from app.invoices.repository.reads import read_stored
from app.settings import Settings
from tests.support.executed import executed_statements
from tests.support.factories import Factories, Row, UserRow


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


@pytest.fixture
async def invoices(make: Factories, settings: Settings) -> list[Row]:
    """A long frozen invoice, a short one without dates, one without items, and a pending one."""
    seller = await make.customer()
    offering = await make.offering(seller)
    created = []
    for number in (250, 3, 0, 2):
        customer = await make.customer()
        resource = await make.resource(await make.project(customer), offering)
        state = InvoiceState.PENDING if number == 2 else InvoiceState.CREATED
        undated: dict[str, Any] = {"invoice_date": None} if number == 3 else {}
        invoice = await make.invoice(customer, state=state, **undated)
        for _ in range(number):
            await make.item(
                invoice,
                "1.5",
                quantity=Decimal("0.5"),
                resource_id=resource.id,
                measured_unit='Ü \x01\x02 \\u0001 " http://test',
            )
        created.append(invoice)
    await make.freeze(settings, *created[:3])
    return created


async def read(app: FastAPI, client: httpx.AsyncClient, path: str, staff: UserRow) -> bytes:
    """Read a path with nothing kept in memory."""
    app.state.response_cache = ResponseCache(app.state.settings)
    response = await client.get(path, headers=staff.headers)
    assert response.status_code == 200
    return response.content


@pytest.mark.parametrize("style", ["hex", "hyphens"])
async def test_stored_documents_are_what_the_schemas_render(
    *,
    app: FastAPI,
    client: httpx.AsyncClient,
    database: Database,
    staff: UserRow,
    invoices: list[Row],
    style: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(represented_documents, "PART_BYTES", 1)
    settings = app.state.settings.model_copy(update={"wire_uuid_style": style})
    app.state.settings = settings
    paths = ["/api/invoices/", *(f"/api/invoices/{each.uuid}/" for each in invoices)]
    paths += [f"/api/invoices/{each.uuid}/items/" for each in invoices]
    paths.append("/api/invoices/?field=items&field=number&field=state&field=due_date")
    rendered = [await read(app, client, path, staff) for path in paths]
    assert (await represent_issued(database, settings)).counts == {"stored": 3}
    async with database.reading() as connection:
        parts = await connection.scalar(text("SELECT count(*) FROM lines_representations"))
    assert parts == 3 + 1 + 1
    assert [await read(app, client, path, staff) for path in paths] == rendered


async def test_documents_of_many_invoices_are_stored_by_as_many_statements_as_that_of_one(
    make: Factories, database: Database, settings: Settings
) -> None:
    counts = []
    for number in (1, 12):
        created = [await make.payable_invoice("1.5", "2") for _ in range(number)]
        await make.freeze(settings, *created)
        with executed_statements(database) as seen:
            assert (await represent_issued(database, settings)).counts == {"stored": number}
        counts.append(len(seen))
    assert counts[0] == counts[1]


async def test_a_page_of_stored_documents_takes_two_statements(
    *,
    app: FastAPI,
    client: httpx.AsyncClient,
    database: Database,
    staff: UserRow,
    invoices: list[Row],
    statements: list[str],
) -> None:
    await represent_issued(database, app.state.settings)
    await read(app, client, "/api/invoices/", staff)
    statements.clear()
    await read(app, client, "/api/invoices/?state=created", staff)
    assert len(statements) == 2, "the page, and its stored documents"
    assert "invoice_items" not in "".join(statements)


async def test_a_change_between_the_two_statements_is_shown_with_its_own_etag(
    *,
    app: FastAPI,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    database: Database,
    staff: UserRow,
    invoices: list[Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await represent_issued(database, app.state.settings)
    path = f"/api/invoices/{invoices[1].uuid}/"
    before = await client.get(path, headers=staff.headers)
    app.state.response_cache = ResponseCache(app.state.settings)

    async def change_and_read(*arguments: Any) -> Any:
        monkeypatch.undo()
        await connection.execute(text("UPDATE invoices SET backend_id = 'ERP-7'"))
        await connection.commit()
        return await read_stored(*arguments)

    monkeypatch.setattr(invoice_rendering, "read_stored", change_and_read)
    during = await client.get(path, headers=staff.headers)
    after = await client.get(path, headers=staff.headers)
    assert during.json()["backend_id"] == "ERP-7"
    assert during.content == after.content
    assert during.headers["ETag"] == after.headers["ETag"] != before.headers["ETag"]


async def test_fields_that_may_change_are_those_of_today(
    *,
    app: FastAPI,
    client: httpx.AsyncClient,
    database: Database,
    staff: UserRow,
    invoices: list[Row],
    statements: list[str],
) -> None:
    await represent_issued(database, app.state.settings)
    async with database.transaction() as transaction:
        await transaction.execute(
            text(
                "UPDATE invoices SET state = 'paid', backend_id = 'ERP \"7\" Ü',"
                " payment_url = 'https://pay.example/?a=1&b=2', reference_number = E'R\t1'"
                " WHERE state = 'created'"
            )
        )
    statements.clear()
    stored = await read(app, client, "/api/invoices/?state=paid", staff)
    assert "document_lines" not in "".join(statements)
    async with database.transaction() as transaction:
        await transaction.execute(text("DELETE FROM lines_representations"))
    assert await read(app, client, "/api/invoices/?state=paid", staff) == stored
    assert {each["backend_id"] for each in json.loads(stored)} == {'ERP "7" Ü'}


@pytest.mark.parametrize(
    ("query", "is_stored"), [("", True), ("?o=name", False), ("?query=none", False)]
)
async def test_items_without_filters_are_stored_lines(
    *,
    client: httpx.AsyncClient,
    app: FastAPI,
    database: Database,
    staff: UserRow,
    invoices: list[Row],
    statements: list[str],
    query: str,
    is_stored: bool,
) -> None:
    await represent_issued(database, app.state.settings)
    statements.clear()
    await read(app, client, f"/api/invoices/{invoices[1].uuid}/items/{query}", staff)
    made = "".join(statements)
    assert not is_stored or len(statements) == 3, "the caller, the invoice, and its items"
    assert ("lines_representations" in made, "document_lines" in made) == (is_stored, not is_stored)


async def test_links_have_the_base_of_the_request(
    app: FastAPI, client: httpx.AsyncClient, database: Database, staff: UserRow, invoices: list[Row]
) -> None:
    await represent_issued(database, app.state.settings)
    response = await client.get(
        f"/api/invoices/{invoices[1].uuid}/", headers={**staff.headers, "Host": "other.example"}
    )
    assert response.json()["items"][0]["url"].startswith("http://other.example/api/")


async def test_the_job_deletes_other_forms(
    connection: AsyncConnection, database: Database, settings: Settings, invoices: list[Row]
) -> None:
    await represent_issued(database, settings)
    await connection.execute(text("UPDATE lines_representations SET form = 'old'"))
    await connection.commit()
    assert (await represent_issued(database, settings)).counts == {"stored": 3, "deleted": 3}
    assert (await represent_issued(database, settings)).counts == {}
