"""Many invoices that are issued by one transaction."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.backfill import backfill
from app.audit.verify import VerificationResult, verify
from app.audit.writer import audited_transaction, seal
from app.billing.enums import InvoiceState, MinimalConsumptionLogic, PaymentType
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.actions.apply_compensations import (
    ApplyCompensations,
    ClearCompensations,
    apply_compensations,
    clear_compensations,
)
from app.invoices.actions.issue import (
    IssueInvoice,
    IssueInvoices,
    issue,
    issue_all,
    split_by_credits,
)
from app.invoices.errors import WrongInvoiceState
from app.invoices.jobs import close_month as module
from app.invoices.jobs.close_month import close_month, split_by_lines
from app.invoices.repository.closing import OverdueInvoice
from app.invoices.repository.compensations import LockedInvoice
from app.progress import Part, Progress
from app.settings import Settings
from tests.support.executed import executed_statements
from tests.support.factories import Factories, Row

ACTOR: Final = Actor("test")


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))


@pytest.fixture
def complete(settings: Settings) -> Settings:
    """Return settings with which everything happens that an issue may cause."""
    return settings.model_copy(update={"notify_on_issue": True, "customer_affiliates": True})


async def statements_of(
    database: Database, settings: Settings, invoice_ids: list[int]
) -> list[str]:
    with executed_statements(database) as seen:
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


async def make_a_month(make: Factories) -> list[Row]:
    """Make invoices of all kinds, in the order of their issue, which affect each other's credits.

    They are of two months; an affiliate has invoices of its own, and earns from two customers.
    """
    september, october = Period(2026, 9), Period(2026, 10)
    plain, fixed, empty, linear, shared, affiliate = [await make.customer() for _ in range(6)]
    await make.profile(fixed, payment_type=PaymentType.FIXED_PRICE)
    await make.credit(
        linear,
        "90",
        expected_consumption=Decimal(40),
        minimal_consumption_logic=MinimalConsumptionLogic.LINEAR,
        end_date=datetime(2027, 3, 1, tzinfo=UTC).date(),
    )
    await make.credit(shared, "25.5")
    project = await make.project(shared)
    await make.project_credit(project, "7", expected_consumption=Decimal(9))
    for customer in (plain, shared):
        await make.affiliate(customer, affiliate, fee_percent=Decimal(50))
    invoices = []
    for month in (september, october):
        for customer in (plain, affiliate, fixed, empty, linear, shared):
            invoice = await make.invoice(customer, month)
            invoices.append(invoice)
            if customer is not empty:
                for price in ("20", "3.25", "12.40"):
                    own = project.id if customer is shared and price == "12.40" else None
                    await make.item(invoice, price, project_id=own)
    return invoices


RESULTS: Final = (
    "SELECT number, state, total_price, total_cost, incurred_costs, compensations, invoice_date,"
    " due_date, document_version, revision, history_count FROM invoices ORDER BY number",
    # A compensation and a new credit have random UUIDs, by which digests differ.
    "SELECT i.number, d.version, d.content FROM invoice_documents AS d JOIN invoices AS i"
    " ON i.id = d.invoice_id ORDER BY i.number",
    "SELECT i.number, line.value - 'uuid' AS line FROM document_lines AS l JOIN invoices AS i"
    " ON i.id = l.invoice_id CROSS JOIN jsonb_each(l.content) AS line"
    " ORDER BY i.number, (line.value -> 'position')::integer",
    "SELECT i.number, c.kind, c.was - 'uuid' - 'document' AS was,"
    " c.became - 'uuid' - 'document' - 'customer_credit' AS became"
    " FROM invoice_changes AS c JOIN invoices AS i ON i.uuid = c.invoice_uuid"
    " ORDER BY i.number, c.id",
    "SELECT kind, was - 'uuid' AS was, became - 'uuid' AS became FROM subject_changes"
    " ORDER BY 1, 2, 3",
    "SELECT customer_uuid, project_uuid, amount, transaction_type, billing_period, invoice_uuid"
    " FROM credit_transactions ORDER BY invoice_uuid, transaction_type, amount",
    "SELECT c.customer_id, c.value, c.expected_consumption FROM customer_credits AS c ORDER BY 1",
    "SELECT p.project_id, p.value, p.expected_consumption FROM project_credits AS p ORDER BY 1",
    "SELECT affiliate_link_id, invoice_id, amount FROM affiliate_fee_accruals ORDER BY 1, 2",
    "SELECT job, arguments FROM outbox ORDER BY id",
    "SELECT year, month, state, sum(invoices), sum(price), sum(cost) FROM invoice_tallies"
    " GROUP BY 1, 2, 3 HAVING sum(invoices) <> 0 ORDER BY 1, 2, 3",
)
"""All that an issue writes, in an order that does not depend on keys."""


async def results_of(connection: AsyncConnection) -> list[Any]:
    return [list(await connection.execute(text(statement))) for statement in RESULTS]


async def test_a_batch_writes_what_its_invoices_write_one_by_one(
    make: Factories, database: Database, complete: Settings
) -> None:
    invoices = [each.id for each in await make_a_month(make)]
    await backfill(database, complete.audit_key, "made by a test")
    async with database.engine.connect() as connection, connection.begin() as transaction:
        for invoice_id in invoices:
            await issue(connection, IssueInvoice(invoice_id), complete)
            await seal(connection, complete.audit_key, ACTOR)
        one_by_one = await results_of(connection)
        await transaction.rollback()
    async with audited_transaction(database, complete.audit_key, ACTOR) as connection:
        await issue_all(connection, IssueInvoices(invoices), complete)
    async with database.reading() as connection:
        together = await results_of(connection)
    for statement, single, batch in zip(RESULTS, one_by_one, together, strict=True):
        assert batch == single, statement
    assert {row.state for row in together[0]} == {InvoiceState.CREATED, InvoiceState.PAID}
    assert [each async for each in verify(database, complete, VerificationResult())] == []


async def test_invoices_that_are_not_pending_are_left_out(
    make: Factories, database: Database, settings: Settings
) -> None:
    pending = await make.invoice(await make.customer())
    canceled = await make.invoice(await make.customer(), state=InvoiceState.CANCELED)
    command = IssueInvoices([canceled.id, 10**12, pending.id])
    async with audited_transaction(database, settings.audit_key, ACTOR) as connection:
        assert [each.uuid for each in await issue_all(connection, command, settings)] == [
            pending.uuid
        ]
    async with audited_transaction(database, settings.audit_key, ACTOR) as connection:
        assert await issue_all(connection, command, settings) == []


def locked(invoice_id: int, customer_id: int) -> LockedInvoice:
    return LockedInvoice(
        invoice_id, customer_id, UUID(int=invoice_id), "pending", 2026, 10, Decimal(0)
    )


def parts_of(
    customers: Sequence[int], credited: set[int], affiliates: dict[int, int]
) -> list[list[int]]:
    invoices = [locked(place, customer) for place, customer in enumerate(customers)]
    parts = list(split_by_credits(invoices, credited, affiliates))
    assert [each for part in parts for each in part] == invoices
    return [[each.customer_id for each in part] for part in parts]


def test_invoices_are_apart_only_if_one_changes_the_credit_that_the_other_uses() -> None:
    assert parts_of([1, 2, 1, 2], set(), {}) == [[1, 2, 1, 2]]
    assert parts_of([1, 2, 1, 2], {1}, {}) == [[1, 2], [1, 2]]
    assert parts_of([1, 2, 3], {3}, {1: 3}) == [[1, 2], [3]]
    assert parts_of([3, 1, 2], {3}, {1: 3, 2: 3}) == [[3, 1, 2]]
    assert parts_of([], {1}, {}) == []


def test_a_batch_has_at_most_so_many_lines_and_a_longer_invoice_comes_alone() -> None:
    lines = [3, 4, 4, 25, 1, 0, 9]
    invoices = [OverdueInvoice(place, 2026, 10, place, each) for place, each in enumerate(lines)]
    batches = [[each.lines for each in batch] for batch in split_by_lines(invoices, 10)]
    assert batches == [[3, 4], [4], [25], [1, 0, 9]]


async def test_of_a_batch_one_failing_invoice_alone_is_not_issued(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    made = [await make.invoice(await make.customer()) for _ in range(21)]
    for invoice in made:
        await make.item(invoice)
    await refuse(connection, made[13])
    summary = await close_month(database, settings)
    assert summary.counts == {"issued": 20, "opened": 21}
    left = "SELECT number FROM invoices WHERE month = 10 AND state = 'pending'"
    assert (await connection.execute(text(left))).scalars().all() == [100_001 + 13]
    [failure] = summary.failures
    assert failure.startswith("invoice 100014: ")
    assert "no document" in failure


async def test_the_metric_and_the_progress_of_a_close_count_its_invoices(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    made = [await make.invoice(await make.customer()) for _ in range(4)]
    for invoice in made[1:]:
        await make.item(invoice)
    await refuse(connection, made[3])
    results = ("created", "paid", "failed")

    def counted() -> list[float]:
        name = "invoicing_close_invoices_total"
        return [REGISTRY.get_sample_value(name, {"result": each}) or 0 for each in results]

    parts: list[Part] = []

    class Watched(Progress):
        def begin(self, unit: str, total: float | None = None) -> None:
            super().begin(unit, total)
            parts.append(self.part)

    before = counted()
    await close_month(database, settings, progress=Watched())
    assert [after - was for after, was in zip(counted(), before, strict=True)] == [2, 1, 1]
    assert [(each.unit, each.total, each.done) for each in parts] == [
        ("invoices", 4, 4),
        ("customers", None, 4),
    ]


async def refuse(connection: AsyncConnection, invoice: Row) -> None:
    """Let the database refuse the document of an invoice, after credits have paid it."""
    function = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'no document'; END $$"""
    trigger = f"""CREATE TRIGGER refuse BEFORE INSERT ON invoice_documents FOR EACH ROW
        WHEN (NEW.invoice_id = {invoice.id}) EXECUTE FUNCTION refuse()"""
    for statement in (function, trigger):
        await connection.execute(text(statement))


async def test_a_failing_invoice_leaves_no_trace_on_credits(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    customers = [await make.customer() for _ in range(4)]
    invoices = []
    for customer in customers:
        await make.credit(customer, "30")
        invoices.append(await make.invoice(customer))
        await make.item(invoices[-1], "10")
    await refuse(connection, invoices[2])
    await close_month(database, settings)
    values = "SELECT value FROM customer_credits ORDER BY customer_id"
    assert (await connection.execute(text(values))).scalars().all() == [20, 20, 30, 20]


async def test_counts_of_rows_grow_with_the_batches_and_not_with_the_invoices(
    make: Factories, database: Database, connection: AsyncConnection, settings: Settings
) -> None:
    for _ in range(25):
        await make.item(await make.invoice(await make.customer()))
    number = "SELECT (SELECT count(*) FROM invoice_tallies) + (SELECT count(*) FROM row_counts)"
    before = (await connection.execute(text(number))).scalar_one()
    assert (await close_month(database, settings)).counts == {"issued": 25, "opened": 25}
    # One for the invoices that are pending no more, one for the issued, one for the opened:
    # 15 for 3,000 invoices, of which six batches are issued and three opened.
    assert (await connection.execute(text(number))).scalar_one() - before == 3


async def test_closes_at_once_and_changes_of_credits_do_not_deadlock(
    make: Factories,
    database: Database,
    connection: AsyncConnection,
    complete: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_ISSUED", 5)
    invoices = []
    affiliates = [await make.customer() for _ in range(3)]
    for number in range(15):
        customer = await make.customer()
        await make.credit(customer, "100")
        await make.affiliate(customer, affiliates[-(number % 3)], fee_percent=Decimal(10))
        invoices.append(await make.invoice(customer))
        await make.item(invoices[-1], "10")
    for affiliate in affiliates:
        await make.item(await make.invoice(affiliate), "50")

    async def change(invoice: Row) -> None:
        with suppress(WrongInvoiceState):  # it is issued
            async with audited_transaction(database, complete.audit_key, ACTOR) as transaction:
                apply = ApplyCompensations(invoice.id)
                await apply_compensations(transaction, apply, complete.currency)
            async with audited_transaction(database, complete.audit_key, ACTOR) as transaction:
                await clear_compensations(transaction, ClearCompensations(invoice.id))

    others = [Database(complete) for _ in range(2)]
    summaries, _ = await asyncio.gather(
        asyncio.gather(*(close_month(other, complete) for other in others)),
        asyncio.gather(*(change(invoice) for invoice in reversed(invoices))),
    )
    for other in others:
        await other.close()
    assert [summary.failures for summary in summaries] == [[], []]
    issued = [each.counts["issued"] + each.counts["issued as paid"] for each in summaries]
    assert sum(issued) == 18
    balances = "SELECT sum(value) FROM customer_credits"
    ledger = "SELECT 1500 + sum(amount) FROM credit_transactions"
    assert (await connection.execute(text(balances))).scalar_one() == (
        await connection.execute(text(ledger))
    ).scalar_one()
