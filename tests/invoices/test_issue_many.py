"""Many invoices that are issued by one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import pytest
from sqlalchemy import event

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.database.engine import Database
from app.invoices.actions.issue import IssueInvoices, issue_all
from app.settings import Settings
from tests.support.factories import Factories

ACTOR: Final = Actor("test")


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))


@pytest.fixture
def complete(settings: Settings) -> Settings:
    """Return settings with which everything happens that an issue may cause."""
    return settings.model_copy(update={"notify_on_issue": True, "customer_affiliates": True})


@contextmanager
def noting_statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def statements_of(
    database: Database, settings: Settings, invoice_ids: list[int]
) -> list[str]:
    with noting_statements(database) as seen:
        async with audited_transaction(database, settings.audit_key, ACTOR) as connection:
            issued = await issue_all(connection, IssueInvoices(invoice_ids), settings)
    assert [each.invoice_id for each in issued] == invoice_ids
    return seen


async def test_without_credits_eight_statements_issue_seal_and_notify_any_number(
    make: Factories, database: Database, settings: Settings
) -> None:
    notifying = settings.model_copy(update={"notify_on_issue": True})
    for number in (1, 40):
        invoices = [await make.invoice(await make.customer()) for _ in range(number)]
        for invoice in invoices:
            await make.item(invoice)
        seen = await statements_of(database, notifying, [each.id for each in invoices])
        # Five issue and freeze, one notifies, two seal.
        assert len(seen) == 8, seen


async def test_credits_and_fees_of_many_take_as_many_statements_as_of_one(
    make: Factories, database: Database, complete: Settings
) -> None:
    counts = []
    for number in (1, 20):
        invoices = []
        for _ in range(number):
            customer, affiliate = await make.customer(), await make.customer()
            await make.credit(customer, "12", expected_consumption=Decimal(30))
            project = await make.project(customer)
            await make.project_credit(project, "8")
            await make.credit(affiliate, "0")
            await make.affiliate(customer, affiliate, fee_percent=Decimal(5))
            invoices.append(await make.invoice(customer))
            await make.item(invoices[-1], "10")
            await make.item(invoices[-1], "11", project_id=project.id)
        seen = await statements_of(database, complete, [each.id for each in invoices])
        counts.append(len(seen))
    assert counts[0] == counts[1]
