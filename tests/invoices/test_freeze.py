"""Issued invoices are frozen: their documents are written once, and the database holds them."""

import asyncio
import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import BillingUnit, InvoiceState
from app.database.engine import Database
from app.database.large_statements import allow_parallel_processes
from app.documents.document import DocumentLine, FrozenDocument, parse_document, parse_lines
from app.invoices.actions.freeze import freeze, issuer_of
from app.invoices.actions.issue import IssueInvoice, issue
from app.invoices.jobs import freeze_issued as freeze_issued_job
from app.invoices.jobs.freeze_issued import freeze_issued
from app.invoices.jobs.reconcile_totals import reconcile_totals
from app.invoices.repository.documents import freeze_many
from app.settings import IssuerDetails, Settings
from tests.support.factories import Factories, Row


async def documents(connection: AsyncConnection) -> list[FrozenDocument]:
    rows = await connection.execute(
        text("SELECT content::text FROM invoice_documents ORDER BY invoice_id, version")
    )
    return [parse_document(content) for content in rows.scalars()]


async def lines(connection: AsyncConnection) -> list[DocumentLine]:
    rows = await connection.execute(
        text(
            "SELECT value::text FROM document_lines, jsonb_each(content)"
            " ORDER BY (value ->> 'position')::int"
        )
    )
    return [*parse_lines(f"[{','.join(rows.scalars())}]")]


async def frozen_invoice(make: Factories, settings: Settings, **values: Any) -> Row:
    """An issued invoice with one item of 10."""
    invoice = await make.invoice(
        await make.customer(name="Customer"), state=InvoiceState.CREATED, **values
    )
    await make.item(invoice, "10")
    await make.freeze(settings, invoice)
    return invoice


async def test_a_document_has_the_values_of_the_issue(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    seller = IssuerDetails.model_validate(
        {"name": "Seller", "country": "EE", "city": "Tartu", "invoice_note": "Hi", "number": 7}
    )
    customer = await make.customer(
        name="Ülikool", country="fi", registration_code="123", agreement_number="A-1",
        city="Espoo", language="fi", buyer_reference="04011000-1", tax_category="AE",
    )  # fmt: skip
    invoice = await make.invoice(customer, tax_percent=Decimal(24))
    await make.item(invoice, "1.25", quantity=Decimal("2.5"))
    await make.item(invoice, "-1", credit=True)
    await make.item(invoice, "0", quantity=Decimal(3))
    await issue(
        connection,
        IssueInvoice(invoice.id),
        settings.model_copy(update={"issuer_details": seller}),
    )
    (document,) = await documents(connection)
    assert document.uuid == invoice.uuid
    assert (document.period_start, document.period_end) == (date(2026, 10, 1), date(2026, 10, 31))
    assert (document.net, document.gross, document.tax_percent) == (
        Decimal("2.13"),
        Decimal("2.64"),
        Decimal(24),
    )
    assert (document.items, document.hidden_items) == (2, 1)
    assert document.compensations == -1
    assert document.provider_tax is None
    assert (document.buyer.name, document.buyer.country) == ("Ülikool", "fi")
    assert (document.buyer.registration_code, document.agreement_number) == ("123", "A-1")
    assert (document.seller.name, document.seller.city) == ("Seller", "Tartu")
    assert document.note == "Hi"
    assert (document.buyer.city, document.buyer_reference) == ("Espoo", "04011000-1")
    assert (document.language, document.tax_category) == ("fi", "AE")
    assert document.currency == settings.currency.code


@pytest.mark.parametrize(
    "agreement",
    [
        ("A-1", {"attributes": {"agreement_number": "P-1"}}, "A-1"),
        ("", {"attributes": {"agreement_number": "P-1"}}, "P-1"),
        ("", {"attributes": {"agreement_number": "P-1"}, "is_active": False}, ""),
        ("", {}, ""),
    ],
)
async def test_the_agreement_is_that_of_the_customer_or_else_of_the_active_profile(
    make: Factories,
    connection: AsyncConnection,
    settings: Settings,
    agreement: tuple[str, dict[str, Any], str],
) -> None:
    of_customer, profile, frozen = agreement
    customer = await make.customer(agreement_number=of_customer)
    await make.profile(customer, **profile)
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.freeze(settings, invoice)
    (document,) = await documents(connection)
    assert document.agreement_number == frozen


async def test_the_lines_have_the_names_of_the_issue(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    project = await make.project(await make.customer(), name="Physics")
    offering = await make.offering(name="Cloud")
    resource = await make.resource(project, offering, name="vm-1")
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    item = await make.item(
        invoice,
        "0.0000000001",
        quantity=Decimal("1e11"),
        unit=BillingUnit.HOUR,
        project_id=project.id,
        resource_id=resource.id,
        details={"plan_name": "Small"},
    )
    await freeze(connection, [invoice.id], settings)
    (line,) = await lines(connection)
    assert line.uuid == item.uuid
    assert (line.project_name, line.resource_name) == ("Physics", "vm-1")
    assert (line.offering_name, line.plan_name) == ("Cloud", "Small")
    assert (line.unit_price, line.quantity, line.price) == (
        Decimal("0.0000000001"),
        Decimal(100_000_000_000),
        Decimal(10),
    )
    assert line.start.isoformat() == "2026-10-01T00:00:00+00:00"


async def test_amounts_are_texts_of_digits(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    await frozen_invoice(make, settings, tax_percent=Decimal(0))
    content = await connection.scalar(text("SELECT content::text FROM invoice_documents"))
    found = json.loads(content or "")
    assert (found["net"], found["gross"], found["hidden_cost"]) == ("10.00", "10.00", "0")


async def test_many_lines_are_stored_a_hundred_at_a_time_in_the_order_of_the_api(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    for number in range(205):
        await make.item(invoice, "1", name=f"{204 - number:03}")
    await freeze(connection, [invoice.id], settings)
    sizes = await connection.execute(
        text(
            "SELECT (SELECT count(*) FROM jsonb_object_keys(content)) FROM document_lines"
            " ORDER BY first_item_id"
        )
    )
    assert sizes.scalars().all() == [100, 100, 5]
    assert [line.name for line in await lines(connection)] == [f"{n:03}" for n in range(205)]


async def test_two_processes_make_the_documents_that_one_makes(
    make: Factories, database: Database, settings: Settings
) -> None:
    issued = [
        await make.invoice(await make.customer(), state=InvoiceState.CREATED) for _ in range(3)
    ]
    for number in range(102):
        await make.item(
            issued[0], Decimal(number), name=f"{102 - number:03}", details={"a": number}
        )
    await make.item(issued[1], "-1.5", credit=True)
    ids = [invoice.id for invoice in issued]
    rows = text(
        "SELECT invoice_id, version, first_item_id, digest FROM document_lines"
        " UNION ALL SELECT invoice_id, version, lines_version, digest FROM invoice_documents"
        " ORDER BY 1, 2, 3, 4"
    )
    async with database.transaction() as transaction:
        async with transaction.begin_nested() as undone:
            assert await freeze(transaction, ids, settings) == 3
            expected = (await transaction.execute(rows)).all()
            await undone.rollback()
        await allow_parallel_processes(transaction)
        assert await freeze_many(transaction, ids, issuer_of(settings)) == 3
        assert (await transaction.execute(rows)).all() == expected
    assert len(expected) == 6


async def test_many_invoices_are_frozen_by_one_statement_and_only_once(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    issued = [
        await make.invoice(await make.customer(), state=state)
        for state in (InvoiceState.CREATED, InvoiceState.PAID, InvoiceState.CANCELED)
    ]
    pending = await make.invoice(customer)
    never_issued = await make.invoice(
        await make.customer(), state=InvoiceState.CANCELED, invoice_date=None
    )
    ids = [invoice.id for invoice in (*issued, pending, never_issued)]
    assert await freeze(connection, ids, settings) == 3
    assert await freeze(connection, ids, settings) == 0
    assert {each.uuid for each in await documents(connection)} == {each.uuid for each in issued}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invoice_items SET name = 'Other'",
        "UPDATE invoice_items SET unit_price = 5",
        "UPDATE invoice_items SET details = '{\"a\": 1}'",
        "DELETE FROM invoice_items",
        "INSERT INTO invoice_items"
        " (uuid, invoice_id, name, unit_price, quantity, unit, start, \"end\")"
        " SELECT gen_random_uuid(), id, 'New', 1, 1, 'month', now(), now() FROM invoices",
        "UPDATE invoices SET number = number + 1",
        "UPDATE invoices SET tax_percent = 1",
        "UPDATE invoices SET due_date = due_date + 1",
        "UPDATE invoices SET state = 'pending'",
        "UPDATE invoices SET total_price = 1",
        "UPDATE invoices SET incurred_costs = incurred_costs + 1",
        "UPDATE invoices SET compensations = -1, total_price = total_price - 1",
        "UPDATE invoices SET document_version = NULL",
        "UPDATE invoices SET document_version = 7",
        "UPDATE invoice_items SET id = id + 1000",
        "TRUNCATE invoice_items CASCADE",
    ],
)  # fmt: skip
async def test_the_database_refuses_to_change_an_issued_invoice(
    make: Factories, connection: AsyncConnection, settings: Settings, change: str
) -> None:
    await frozen_invoice(make, settings)
    with pytest.raises(DBAPIError, match="issued invoice do"):
        await connection.execute(text(change))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invoices SET state = 'paid', backend_id = 'B'",
        "UPDATE invoice_items SET customer_credit_id = NULL",
        "UPDATE invoice_items SET name = name",
        "DELETE FROM invoices",
    ],
)
async def test_other_changes_remain_possible(
    make: Factories, connection: AsyncConnection, settings: Settings, change: str
) -> None:
    await frozen_invoice(make, settings)
    await connection.execute(text(change))
    assert len(await documents(connection)) == 1


async def test_totals_that_drifted_can_be_corrected(
    make: Factories, connection: AsyncConnection, settings: Settings, database: Database
) -> None:
    await frozen_invoice(make, settings)
    await connection.execute(text("SET session_replication_role = replica"))
    await connection.execute(text("UPDATE invoices SET total_price = 7, incurred_costs = 7"))
    await connection.execute(text("SET session_replication_role = DEFAULT"))
    summary = await reconcile_totals(database, settings.audit_key)
    assert summary.counts == {"repaired": 1}
    assert await connection.scalar(text("SELECT total_price FROM invoices")) == 10


@pytest.mark.parametrize("table", ["invoice_documents", "document_lines"])
async def test_documents_are_only_added_to(
    make: Factories, connection: AsyncConnection, settings: Settings, table: str
) -> None:
    await frozen_invoice(make, settings)
    with pytest.raises(DBAPIError, match="only added to"):
        await connection.execute(text(f"DELETE FROM {table}"))


async def test_another_payment_url_makes_a_further_version(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    await frozen_invoice(make, settings)
    await connection.execute(text("UPDATE invoices SET payment_url = 'https://pay.example/1'"))
    await connection.execute(text("UPDATE invoices SET reference_number = 'RF1', state = 'paid'"))
    assert [(each.payment_url, each.reference_number) for each in await documents(connection)] == [
        ("", ""),
        ("https://pay.example/1", ""),
        ("https://pay.example/1", "RF1"),
    ]
    versions = await connection.execute(
        text("SELECT version, lines_version FROM invoice_documents ORDER BY version")
    )
    assert [tuple(row) for row in versions] == [(1, 1), (2, 1), (3, 1)]
    assert await connection.scalar(text("SELECT document_version FROM invoices")) == 3


async def test_freezing_does_not_change_the_revision(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await make.item(invoice)
    revision = text("SELECT revision FROM invoices")
    before = await connection.scalar(revision)
    await freeze(connection, [invoice.id], settings)
    assert await connection.scalar(revision) == before


async def test_the_job_freezes_the_invoices_of_an_earlier_release(
    database: Database, settings: Settings
) -> None:
    async with database.transaction() as connection:
        make = Factories(connection)
        for _ in range(3):
            invoice = await make.invoice(await make.customer(), state=InvoiceState.PAID)
            await make.item(invoice)
    assert (await freeze_issued(database, settings)).counts == {"frozen": 3}
    assert (await freeze_issued(database, settings)).counts == {}
    async with database.reading() as connection:
        assert len(await documents(connection)) == 3


async def test_two_jobs_at_once_freeze_each_invoice_once(
    database: Database, settings: Settings
) -> None:
    async with database.transaction() as connection:
        make = Factories(connection)
        for _ in range(20):
            await make.item(await make.invoice(await make.customer(), state=InvoiceState.PAID))
    jobs = [freeze_issued(database, settings) for _ in range(3)]
    summaries = await asyncio.gather(*jobs)
    assert sum(summary.counts["frozen"] for summary in summaries) == 20
    async with database.reading() as connection:
        assert len(await documents(connection)) == 20


async def test_an_item_that_changes_during_the_freeze_is_refused_or_frozen(
    database: Database, settings: Settings
) -> None:
    """Whoever comes first: the document has the item's name, or the item keeps the document's."""
    async with database.transaction() as connection:
        make = Factories(connection)
        invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
        await make.item(invoice, name="Old")

    async def rename() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE invoice_items SET name = 'New'"))

    await asyncio.gather(rename(), freeze_issued(database, settings), return_exceptions=True)
    async with database.reading() as connection:
        (line,) = await lines(connection)
        assert await connection.scalar(text("SELECT name FROM invoice_items")) == line.name


async def test_a_job_that_loses_its_connection_goes_on_where_it_was(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze_issued_job, "_BATCH", 2)
    async with database.transaction() as connection:
        make = Factories(connection)
        for _ in range(6):
            await make.item(await make.invoice(await make.customer(), state=InvoiceState.PAID))

    async def freeze_and_die(
        connection: AsyncConnection, invoice_ids: Sequence[int], given: Settings
    ) -> int:
        frozen = await freeze(connection, invoice_ids, given)
        async with database.reading() as other:
            if await other.scalar(text("SELECT count(*) FROM invoice_documents")) == 2:
                pid = await connection.scalar(text("SELECT pg_backend_pid()"))
                await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        return frozen

    with monkeypatch.context() as dying:
        dying.setattr(freeze_issued_job, "freeze", freeze_and_die)
        assert (await freeze_issued(database, settings)).counts["frozen"] == 2
    assert (await freeze_issued(database, settings)).counts == {"frozen": 4}
    async with database.reading() as connection:
        assert len(await documents(connection)) == 6
