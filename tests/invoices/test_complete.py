"""Completed documents: values that were empty at the issue are those of today."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from app.audit.actor import Actor
from app.audit.verify import VerificationResult, verify
from app.audit.writer import audited_transaction
from app.billing.enums import InvoiceState
from app.customers.models import Customer
from app.database import import_lock
from app.database.engine import Database
from app.domain_errors import TemporarilyUnavailable
from app.invoices.actions.complete import CompletedDocument, complete_documents
from app.invoices.jobs.freeze_issued import freeze_issued
from app.invoices.jobs.represent_issued import represent_issued
from app.settings import IssuerDetails, Settings
from tests.support.factories import Factories, Row, UserRow
from tests.support.issued import COMPLETE, ISSUER, issuing

Complete = Callable[..., Awaitable[list[CompletedDocument]]]
Get = Callable[[str], Awaitable[httpx.Response]]


@pytest.fixture
def complete(database: Database, settings: Settings) -> Complete:
    """Complete the documents of invoices, as the command does."""

    async def run(*invoices: Row, **changed: Any) -> list[CompletedDocument]:
        given = issuing(settings).model_copy(update=changed)
        key = given.audit_key
        async with audited_transaction(database, key, Actor("document_complete")) as connection:
            ids = [each.id for each in invoices]
            return list(await complete_documents(connection, ids, given))

    return run


@pytest.fixture
async def staff(database: Database) -> UserRow:
    async with database.transaction() as connection:
        return await Factories(connection).staff()


@pytest.fixture
def get(client: httpx.AsyncClient, staff: UserRow) -> Get:
    return lambda path: client.get(path, headers=staff.headers)


async def issued(
    database: Database, settings: Settings, *, customer: dict[str, Any], **values: Any
) -> Row:
    """An issued and frozen invoice of a customer."""
    given = issuing(settings)
    actor = Actor("test")
    async with audited_transaction(database, given.audit_key, actor) as connection:
        make = Factories(connection)
        owner = await make.customer(**COMPLETE | customer)
        invoice = await make.invoice(owner, state=InvoiceState.CREATED, number=100001, **values)
        await make.item(invoice, "10")
        await make.freeze(given, invoice)
        return invoice


async def set_customers(database: Database, **values: Any) -> None:
    async with database.transaction() as connection:
        await connection.execute(update(Customer).values(values))


async def count_versions(database: Database) -> int:
    async with database.reading() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM invoice_documents")) or 0)


async def test_an_invoice_without_a_country_becomes_an_e_invoice(
    database: Database, settings: Settings, get: Get, complete: Complete
) -> None:
    invoice = await issued(database, settings, customer={"country": ""})
    url = f"/api/invoices/{invoice.uuid}/ubl/"
    assert (await get(url)).status_code == 409
    await set_customers(database, country="FI")
    refused = await get(url)
    assert refused.status_code == 409, "the document is that of the issue"
    assert "then `python -m app document complete 100001`" in refused.json()["problems"][0]["where"]
    (completed,) = await complete(invoice)
    assert completed == CompletedDocument(100001, ["country of the customer"])
    response = await get(url)
    assert response.status_code == 200, response.text
    assert ">FI</cbc:IdentificationCode>" in response.text


async def test_the_api_shows_the_values_under_another_entity_tag(
    database: Database, settings: Settings, get: Get, complete: Complete
) -> None:
    invoice = await issued(database, settings, customer={"country": "", "email": ""})
    paths = (f"/api/invoices/{invoice.uuid}/", f"/api/invoices/{invoice.uuid}/pdf/")
    before = [await get(path) for path in paths]
    await set_customers(database, country="fi", email="a@example.com", name="Other")
    await complete(invoice, issuer_details=IssuerDetails(**ISSUER.model_dump() | {"name": "X"}))
    after = [await get(path) for path in paths]
    assert [each.headers["ETag"] for each in before] != [each.headers["ETag"] for each in after]
    was, became = before[0].json(), after[0].json()
    shown = {"country": "fi", "country_name": "Finland", "email": "a@example.com"}
    assert became["customer_details"] == was["customer_details"] | shown
    assert became["issuer_details"] == was["issuer_details"]


async def test_the_stored_representation_is_that_of_the_completed_document(
    database: Database, settings: Settings, get: Get, complete: Complete
) -> None:
    invoice = await issued(database, settings, customer={"email": ""})
    path = f"/api/invoices/{invoice.uuid}/"
    await represent_issued(database, settings)
    assert (await get(path)).json()["customer_details"]["email"] == ""
    await set_customers(database, email="a@example.com")
    await complete(invoice)
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE invoices SET payment_url = 'https://pay.example'"))
    for counts in ({"stored": 1}, {}):
        assert (await get(path)).json()["customer_details"]["email"] == "a@example.com"
        assert (await represent_issued(database, settings)).counts == counts


async def test_the_details_of_the_issuer_are_completed(
    database: Database, settings: Settings, get: Get, complete: Complete
) -> None:
    invoice = await issued(database, settings, customer={})
    path = f"/api/invoices/{invoice.uuid}/"
    was = (await get(path)).json()["issuer_details"]
    details = ISSUER.model_dump() | {"tax_number": "T-1", "city": "Elsewhere", "other": "X"}
    (completed,) = await complete(invoice, issuer_details=IssuerDetails.model_validate(details))
    assert completed.fields == ["tax_number of the issuer"]
    assert (await get(path)).json()["issuer_details"] == was | {"tax_number": "T-1"}


async def test_a_value_that_is_there_never_changes(
    database: Database, settings: Settings, complete: Complete
) -> None:
    invoice = await issued(database, settings, customer={})
    await set_customers(database, name="Other", country="FI", city="Espoo", buyer_reference="X")
    (completed,) = await complete(invoice)
    assert not completed.fields
    assert await count_versions(database) == 1


async def test_completing_twice_or_at_once_writes_one_version(
    database: Database, settings: Settings, complete: Complete
) -> None:
    invoice = await issued(database, settings, customer={"country": ""})
    await set_customers(database, country="FI")
    results = await asyncio.gather(*(complete(invoice) for _ in range(3)))
    assert sorted(len(each.fields) for (each,) in results) == [0, 0, 1]
    assert not (await complete(invoice))[0].fields
    assert await count_versions(database) == 2


async def test_the_version_is_sealed(
    database: Database, settings: Settings, get: Get, complete: Complete
) -> None:
    invoice = await issued(database, settings, customer={"country": ""})
    await set_customers(database, country="FI")
    await complete(invoice)
    result = VerificationResult()
    assert [str(each) async for each in verify(database, settings, result)] == []
    newest = (await get(f"/api/invoices/{invoice.uuid}/history/")).json()[0]
    assert newest["revision_comment"] == "Document completed."


@pytest.mark.parametrize(
    ("tax_percent", "category", "filled"), [(0, "Z", True), (20, "Z", False), (0, "S", False)]
)
async def test_a_tax_category_is_filled_in_if_the_tax_belongs_to_it(
    *,
    database: Database,
    settings: Settings,
    get: Get,
    complete: Complete,
    tax_percent: int,
    category: str,
    filled: bool,
) -> None:
    invoice = await issued(
        database, settings, customer={"tax_category": ""}, tax_percent=Decimal(tax_percent)
    )
    await set_customers(database, tax_category=category)
    (completed,) = await complete(invoice)
    assert completed.fields == (["tax_category of the customer"] if filled else [])
    status = (await get(f"/api/invoices/{invoice.uuid}/ubl/")).status_code
    assert status == (200 if filled or tax_percent else 409)


async def test_a_late_document_has_no_tax_category_of_another_rate(
    database: Database, settings: Settings, get: Get
) -> None:
    async with database.transaction() as connection:
        make = Factories(connection)
        customer = await make.customer(**COMPLETE | {"tax_category": "Z"})
        invoice = await make.invoice(customer, state=InvoiceState.CREATED)
        await make.item(invoice, "10")
    await freeze_issued(database, issuing(settings))
    response = await get(f"/api/invoices/{invoice.uuid}/ubl/")
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "change",
    [
        "jsonb_build_object('net', '11.00')",
        "jsonb_build_object('due_date', '2027-01-01', 'note', 'Hi')",
        "jsonb_build_object('buyer', content -> 'buyer' || '{\"name\": \"Other\"}')",
        "jsonb_build_object('buyer', content -> 'buyer' || '{\"country\": null}')",
        "jsonb_build_object('seller', '{}'::jsonb)",
    ],
)
async def test_the_database_refuses_a_version_that_changes_a_value(
    database: Database, settings: Settings, change: str
) -> None:
    await issued(database, settings, customer={})
    async with database.transaction() as connection:
        add = "SELECT add_document_version(invoice_id, version, content || {})"
        await connection.execute(text(f"{add} FROM invoice_documents".format(change)))
        with pytest.raises(DBAPIError, match="an issued invoice does not change"):
            await connection.execute(text("UPDATE invoices SET document_version = 2"))
        await connection.rollback()


async def test_nothing_is_completed_while_an_import_runs(
    database: Database, settings: Settings, complete: Complete
) -> None:
    invoice = await issued(database, settings, customer={"country": ""})
    async with database.transaction() as connection:
        await import_lock.lock_out_jobs(connection)
        with pytest.raises(TemporarilyUnavailable, match="an import is running"):
            await complete(invoice)
