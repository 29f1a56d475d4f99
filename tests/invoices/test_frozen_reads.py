"""What is shown of an issued invoice is what was issued, whatever becomes of other records."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import ResponseCache
from app.billing.currencies import get_currency
from app.billing.enums import BillingType, InvoiceState
from app.billing.periods import Period
from app.database.base import Base
from app.database.engine import Database
from app.invoices.queries.documents import find_document
from app.reports.queries.report_rows import ReportRows, stream_report_rows
from app.settings import IssuerDetails, Settings
from tests.support.changed_columns import changes_of
from tests.support.factories import Factories, UserRow
from tests.support.issued import COMPLETE, issuing

OCTOBER = Period(2026, 10)
TABLES = (
    "customers",
    "projects",
    "resources",
    "offerings",
    "offering_components",
    "plans",
    "plan_components",
    "categories",
    "service_providers",
    "payment_profiles",
)
"""The tables of all other records that an invoice shows."""
PATHS = (
    "/api/invoices/",
    "/api/invoices/?field=customer_details&field=issuer_details&field=uuid",
    "/api/invoices/{uuid}/",
    "/api/invoices/{uuid}/items/",
    "/api/invoices/{uuid}/items/?resource_name=VM-1&offering_uuid={offering}",
    "/api/invoices/{uuid}/items/?provider_uuid={provider}&o=-provider_name",
    "/api/invoices/{uuid}/stats/",
    "/api/invoices/{uuid}/stats/?provider_uuid={provider}",
    "/api/invoice-items/",
    "/api/provider-invoice-items/",
    "/api/invoice-items/costs/?project_uuid={project}",
    "/api/invoice-items/total_price/",
    "/api/invoices/growth/",
    "/api/invoices/{uuid}/ubl/?profile=peppol",
    "/api/invoices/{uuid}/ubl/?profile=xrechnung",
    "/api/invoices/{uuid}/cii/",
)


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


@pytest.fixture
async def names(make: Factories, settings: Settings) -> dict[str, Any]:
    """A frozen invoice that shows something of every other record, and one that is pending."""
    seller = await make.customer(name="Seller", country="FI")
    provider = await make.service_provider(seller)
    offering = await make.offering(seller, name="Cloud")
    component = await make.component(offering, billing_type=BillingType.FIXED)
    plan = await make.plan(offering)
    plan_component = await make.plan_component(plan, component)
    customer = await make.customer(**COMPLETE | {"agreement_number": ""})
    await make.profile(customer, attributes={"agreement_number": "P-1"})
    project = await make.project(customer, name="Physics")
    resource = await make.resource(project, offering, name="vm-1")
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await add_others(make)
    for each in (invoice, await make.invoice(await make.customer())):
        await make.item(
            each,
            "0.1",
            quantity=Decimal("3.5"),
            project_id=project.id,
            resource_id=resource.id,
            plan_component_id=plan_component.id,
            details={"plan_name": "Small", "size": 1.5, "tags": ["a"]},
            backend_uuid=uuid4(),
        )
        await make.item(each, "2", name="Without anything")
        await make.item(each, "0", name="Hidden")
    await make.freeze(issuing(settings), invoice)
    return {
        "id": invoice.id,
        "uuid": invoice.uuid,
        "offering": offering.uuid,
        "provider": provider.uuid,
        "project": project.uuid,
    }


async def add_others(make: Factories) -> None:
    """Add records to which those of the invoice can refer instead of their own."""
    customer = await make.customer(name="Other")
    project = await make.project(customer, name="Other")
    offering = await make.offering(name="Other")
    component = await make.component(offering, type="other")
    plan = await make.plan(offering)
    await make.plan_component(plan, component)
    await make.resource(project, offering, name="other")
    await make.customer(name="Last")


async def read(
    client: httpx.AsyncClient, staff: UserRow, path: str, names: dict[str, Any]
) -> list[Any]:
    """What a path shows of the frozen invoice."""
    response = await client.get(path.format(**names), headers=staff.headers)
    assert response.status_code == 200, response.text
    if response.headers["content-type"] == "application/xml":
        return [response.text]
    found = response.json()
    rows = found if isinstance(found, list) else [found]
    if path.startswith("/api/invoices/?") or path == "/api/invoices/":
        return [row for row in rows if UUID(row["uuid"]) == names["uuid"]]
    if path == "/api/invoice-items/":
        return [row for row in rows if names["uuid"].hex in row["invoice"].replace("-", "")]
    if path == "/api/provider-invoice-items/":
        # Those of the pending invoice come first: it has the higher number.
        return rows[len(rows) // 2 :]
    return rows


async def read_all(
    client: httpx.AsyncClient, database: Database, staff: UserRow, names: dict[str, Any]
) -> dict[str, Any]:
    """What all paths, and a mail, show of the frozen invoice."""
    shown: dict[str, Any] = {path: await read(client, staff, path, names) for path in PATHS}
    async with database.reading() as connection:
        issued = await find_document(connection, names["id"])
    assert issued is not None
    pdf = await client.head(f"/api/invoices/{names['uuid']}/pdf/", headers=staff.headers)
    reports = {rows: await read_report(database, rows, names) for rows in ReportRows}
    return shown | {"mail": issued.document, "pdf": pdf.headers["etag"]} | reports


async def read_report(
    database: Database, rows: ReportRows, names: dict[str, Any]
) -> list[dict[str, Any]]:
    """The rows of the frozen invoice in a report, as if its customer were not archived."""
    async with database.transaction() as connection:
        await connection.execute(
            text("UPDATE customers SET archived = false, accounting_start_date = '2020-01-01'")
        )
        found = [
            dict(row)
            async for batch in stream_report_rows(connection, OCTOBER, rows)
            for row in batch
            if row["invoice_uuid"] == names["uuid"]
        ]
        await connection.rollback()
    return found


def forget_responses(app: FastAPI) -> None:
    app.state.response_cache = ResponseCache(app.state.settings)


async def change_and_read(
    app: FastAPI,
    client: httpx.AsyncClient,
    database: Database,
    staff: UserRow,
    names: dict[str, Any],
    *,
    one_by_one: bool,
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Change every column of every other record, and yield what is shown then."""
    for table in TABLES:
        for name, value in changes_of(table).items():
            changed = Base.metadata.tables[table]
            first = select(func.min(changed.c.id)).scalar_subquery()
            async with database.transaction() as connection:
                await connection.execute(
                    update(changed).where(changed.c.id == first).values({name: value})
                )
            if one_by_one:
                forget_responses(app)
                yield f"{table}.{name}", await read_all(client, database, staff, names)
    forget_responses(app)
    yield "all", await read_all(client, database, staff, names)


@pytest.mark.parametrize(
    "one_by_one", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["all", "one-by-one"]
)
async def test_no_change_of_another_record_changes_an_issued_invoice(
    *,
    app: FastAPI,
    client: httpx.AsyncClient,
    database: Database,
    staff: UserRow,
    names: dict[str, Any],
    one_by_one: bool,
) -> None:
    before = await read_all(client, database, staff, names)
    assert all(before.values())
    async for change, after in change_and_read(
        app, client, database, staff, names, one_by_one=one_by_one
    ):
        assert after == before, change


@pytest.mark.parametrize(
    "setting",
    [
        {"issuer_details": IssuerDetails.model_validate({"name": "X", "city": "X", "new": "X"})},
        {"locale": "de"},
        {"currency": get_currency("USD")},
    ],
    ids=lambda setting: next(iter(setting)),
)
async def test_no_setting_changes_an_issued_invoice(
    *,
    app: FastAPI,
    client: httpx.AsyncClient,
    database: Database,
    staff: UserRow,
    names: dict[str, Any],
    setting: dict[str, Any],
) -> None:
    before = await read_all(client, database, staff, names)
    app.state.settings = app.state.settings.model_copy(update=setting)
    forget_responses(app)
    after = await read_all(client, database, staff, names)
    del before["pdf"], after["pdf"]  # its texts may be those of the setting
    assert after == before


async def test_a_frozen_invoice_reads_as_one_that_is_not(
    *,
    app: FastAPI,
    client: httpx.AsyncClient,
    database: Database,
    staff: UserRow,
    names: dict[str, Any],
) -> None:
    app.state.settings = issuing(app.state.settings)
    after = [await read(client, staff, path, names) for path in PATHS]
    reports = [await read_report(database, rows, names) for rows in ReportRows]
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(text("UPDATE invoices SET document_version = NULL"))
    assert [await read(client, staff, path, names) for path in PATHS] == after
    assert [await read_report(database, rows, names) for rows in ReportRows] == reports


async def test_state_payment_url_and_references_are_those_of_today(
    client: httpx.AsyncClient, connection: AsyncConnection, staff: UserRow, names: dict[str, Any]
) -> None:
    await connection.execute(
        text(
            "UPDATE invoices SET state = 'paid', payment_url = 'https://pay.example',"
            " reference_number = 'RF1', backend_id = 'B' WHERE document_version IS NOT NULL"
        )
    )
    await connection.commit()
    (invoice,) = await read(client, staff, "/api/invoices/{uuid}/", names)
    fields = ("state", "payment_url", "reference_number", "backend_id")
    assert [invoice[name] for name in fields] == ["paid", "https://pay.example", "RF1", "B"]


async def test_a_rename_makes_no_frozen_invoice_stale(
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    staff: UserRow,
    names: dict[str, Any],
    statements: list[str],
) -> None:
    path = f"/api/invoices/{names['uuid'].hex}/"
    first = await client.get(path, headers=staff.headers)
    await connection.execute(text("UPDATE resources SET name = 'X'"))
    await connection.commit()
    statements.clear()
    second = await client.get(path, headers=staff.headers)
    assert second.headers["ETag"] == first.headers["ETag"]
    assert second.content == first.content
    assert len(statements) == 1, "of the version"
