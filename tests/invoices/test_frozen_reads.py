"""What is shown of an issued invoice is what was issued, whatever becomes of other records."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.response_cache import ResponseCache
from app.billing.enums import BillingType, InvoiceState
from app.database.engine import Database
from app.settings import IssuerDetails, Settings
from tests.support.factories import Factories, UserRow

CHANGES = {
    "customers": "name = 'X' || id, address = 'X', country = 'DE', email = 'x@x.example',"
    " postal = 'X', phone_number = 'X', bank_name = 'X', bank_account = 'X', vat_code = 'X',"
    " registration_code = 'X', agreement_number = 'X', default_tax_percent = 7",
    "projects": "name = 'X'",
    "resources": "name = 'X'",
    "offerings": "name = 'X', customer_id = NULL",
    "offering_components": "name = 'X', type = 'x', billing_type = 'limit'",
    "plans": "name = 'X'",
    "plan_components": "component_id = NULL",
    "categories": "title = 'X'",
    "service_providers": "uuid = gen_random_uuid()",
}
"""Everything of other records that an invoice shows."""
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
    customer = await make.customer(name="Buyer", country="EE", vat_code="EE1")
    project = await make.project(customer, name="Physics")
    resource = await make.resource(project, offering, name="vm-1")
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
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
    await make.freeze(settings, invoice)
    return {"uuid": invoice.uuid, "offering": offering.uuid, "provider": provider.uuid}


async def read(
    client: httpx.AsyncClient, staff: UserRow, path: str, names: dict[str, Any]
) -> list[Any]:
    """What a path shows of the frozen invoice."""
    response = await client.get(path.format(**names), headers=staff.headers)
    assert response.status_code == 200
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


@pytest.mark.parametrize("path", PATHS)
async def test_no_change_of_another_record_changes_an_issued_invoice(
    *,
    app: FastAPI,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    staff: UserRow,
    names: dict[str, Any],
    path: str,
) -> None:
    before = await read(client, staff, path, names)
    assert before
    names["provider"] = await connection.scalar(text("SELECT uuid FROM service_providers"))
    provider = names["provider"]
    for table, values in CHANGES.items():
        await connection.execute(text(f"UPDATE {table} SET {values}"))
    await connection.commit()
    app.state.settings = app.state.settings.model_copy(
        update={"issuer_details": IssuerDetails(name="X"), "locale": "de"}
    )
    app.state.response_cache = ResponseCache(app.state.settings)
    names["provider"] = provider
    assert await read(client, staff, path, names) == before


async def test_a_frozen_invoice_reads_as_one_that_is_not(
    client: httpx.AsyncClient, database: Database, staff: UserRow, names: dict[str, Any]
) -> None:
    after = [await read(client, staff, path, names) for path in PATHS]
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(text("UPDATE invoices SET document_version = NULL"))
    assert [await read(client, staff, path, names) for path in PATHS] == after


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
