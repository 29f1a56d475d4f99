"""The demonstration: whole, lifelike, the same each time, and loaded once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from time import perf_counter
from typing import Any

import pytest
from sqlalchemy import Uuid, cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app import clock
from app.billing import money
from app.billing.currencies import get_currency
from app.billing.enums import (
    BillingType,
    BillingUnit,
    CreditTransactionType,
    CustomerRoleName,
    InvoiceState,
    PaymentType,
)
from app.billing.periods import Period, due_date, last_thirteen_periods
from app.catalogue.models import Offering, OfferingComponent, Plan, PlanComponent, Resource
from app.credits.models import CreditTransaction, CustomerCredit, ProjectCredit
from app.customers.models import Customer
from app.database.engine import Database
from app.identity.models import AccessSubnet, CustomerRole, User
from app.invoices.models import Invoice, InvoiceItem
from app.local.demo import load
from app.local.demo.rows import identifier
from app.payments.models import Payment, PaymentProfile
from app.settings import Settings

EUR = get_currency("EUR")
TODAY = datetime(2026, 11, 17, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
async def loaded_database_url(
    module_database_url: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The URL of a database with the demonstration, which the tests of this module only read."""
    settings = Settings(
        database_url=module_database_url,
        redis_url=redis_server,
        proof_dir=tmp_path_factory.mktemp("proofs"),
    )
    database = Database(settings)
    clock.freeze(TODAY)
    began = perf_counter()
    summary = await load(database, settings)
    assert summary.loaded
    assert perf_counter() - began < 20
    clock.freeze(None)
    yield module_database_url
    await database.close()


@pytest.fixture
def database_url(loaded_database_url: str) -> str:
    clock.freeze(TODAY)
    return loaded_database_url


async def values(connection: AsyncConnection, column: Any) -> set[Any]:
    return set((await connection.execute(select(column).distinct())).scalars())


async def test_a_second_time_changes_nothing(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    async def snapshot() -> Any:
        statement = text("SELECT i::text FROM invoices AS i UNION ALL SELECT u::text FROM users u")
        return sorted((await connection.execute(statement)).scalars())

    before = await snapshot()
    again = await load(database, settings)
    assert not again.loaded
    assert "already" in str(again)
    assert await snapshot() == before


async def test_every_word_of_billing_occurs(connection: AsyncConnection) -> None:
    assert await values(connection, InvoiceItem.unit) == set(BillingUnit)
    assert await values(connection, Plan.unit) == set(BillingUnit)
    states = set(InvoiceState) - {InvoiceState.PENDING_FINALIZATION}  # off by default
    assert await values(connection, Invoice.state) == states
    assert await values(connection, OfferingComponent.billing_type) == set(BillingType)
    charged = (
        select(OfferingComponent.billing_type)
        .join(PlanComponent, PlanComponent.component_id == OfferingComponent.id)
        .join(InvoiceItem, InvoiceItem.plan_component_id == PlanComponent.id)
    )
    assert set((await connection.execute(charged)).scalars()) == set(BillingType)
    assert await values(connection, PaymentProfile.payment_type) == set(PaymentType)
    assert await values(connection, CustomerRole.role) == set(CustomerRoleName)


async def test_thirteen_months_up_to_the_running_one(connection: AsyncConnection) -> None:
    rows = await connection.execute(select(Invoice.year, Invoice.month).distinct())
    assert {tuple(row) for row in rows} == {
        (p.year, p.month) for p in last_thirteen_periods(TODAY.date())
    }
    pending = await connection.execute(
        select(Invoice.year, Invoice.month).where(Invoice.state == "pending").distinct()
    )
    assert [tuple(row) for row in pending] == [(2026, 11)]


async def test_numbers_of_the_sequence_stay_free(connection: AsyncConnection) -> None:
    numbers = list(await connection.scalars(select(Invoice.number).order_by(Invoice.id)))
    assert numbers == list(range(1001, 1001 + len(numbers)))
    assert await connection.scalar(text("SELECT nextval('invoice_numbers')")) == 100001


async def test_issued_invoices_have_their_dates(connection: AsyncConnection) -> None:
    statement = select(Invoice.year, Invoice.month, Invoice.invoice_date, Invoice.due_date).where(
        Invoice.state != "pending"
    )
    for year, month, issued, due in await connection.execute(statement):
        assert issued == Period(year, month).shifted(1).first_day
        assert due == due_date(issued, 30)


async def test_totals_and_payments_agree_with_the_items(connection: AsyncConnection) -> None:
    invoices = await connection.execute(
        select(Invoice.id, Invoice.total_cost, Invoice.tax_percent, Payment.sum).outerjoin(
            Payment, Payment.invoice_id == Invoice.id
        )
    )
    paid = 0
    for key, total, tax_percent, payment in invoices.all():
        items = await connection.execute(
            select(InvoiceItem.unit_price, InvoiceItem.quantity).where(
                InvoiceItem.invoice_id == key
            )
        )
        price = sum((money.item_price(*item, EUR) for item in items), Decimal(0))
        assert total == money.round_half_up(money.with_tax(price, tax_percent), EUR)
        if payment is not None:
            paid += 1
            assert payment == total
    assert paid > 30


async def test_one_invoice_has_hundreds_of_items(connection: AsyncConnection) -> None:
    counts = select(func.count()).select_from(InvoiceItem).group_by(InvoiceItem.invoice_id)
    assert max((await connection.execute(counts)).scalars()) >= 400


async def test_the_ledger_has_the_sum_of_each_balance(connection: AsyncConnection) -> None:
    for table, of_credit in (
        (CustomerCredit, CreditTransaction.customer_credit_uuid),
        (ProjectCredit, CreditTransaction.project_credit_uuid),
    ):
        credit = (await connection.execute(select(table.uuid, table.value))).one()
        amounts = select(CreditTransaction.amount).where(of_credit == credit.uuid)
        movements = list(await connection.scalars(amounts))
        assert sum(movements) == credit.value
        assert len(movements) > 3
    named = select(CreditTransaction.invoice_uuid).where(
        CreditTransaction.transaction_type == CreditTransactionType.COMPENSATION
    )
    assert set(await connection.scalars(named)) <= await values(connection, Invoice.uuid)


async def test_compensations_name_the_items_that_they_pay(connection: AsyncConnection) -> None:
    compensation, paid = aliased(InvoiceItem), aliased(InvoiceItem)
    link = compensation.details["compensation_of_item"].astext
    rows = await connection.execute(
        select(paid.price + compensation.price, paid.project_id == compensation.project_id)
        .select_from(compensation)
        .join(paid, cast(link, Uuid) == paid.uuid)
        .where(paid.invoice_id == compensation.invoice_id)
    )
    pairs = rows.all()
    assert len(pairs) >= 16
    assert all(rest >= 0 and is_of_project for rest, is_of_project in pairs)


async def test_payments_of_every_kind(connection: AsyncConnection) -> None:
    proven = select(Payment).where(Payment.proof_key.is_not(None))
    assert len((await connection.execute(proven)).all()) == 1
    unlinked = (
        select(PaymentProfile.payment_type)
        .join(Payment, Payment.profile_id == PaymentProfile.id)
        .where(Payment.invoice_id.is_(None))
    )
    assert sorted(await connection.scalars(unlinked)) == [
        *["fixed_price"] * 4,
        "payment_gw_monthly",
    ]
    profiles = select(PaymentProfile.payment_type, func.count()).group_by(
        PaymentProfile.payment_type
    )
    assert all(number > 1 for _, number in await connection.execute(profiles))
    inactive = select(func.count()).where(~PaymentProfile.is_active)
    assert await connection.scalar(inactive) == 2


async def test_the_credit_is_spent_by_compensations(connection: AsyncConnection) -> None:
    left = (await connection.execute(select(CustomerCredit.value))).scalar_one()
    spent = (
        await connection.execute(
            select(func.sum(InvoiceItem.price)).where(InvoiceItem.customer_credit_id.is_not(None))
        )
    ).scalar_one()
    assert spent < 0
    assert left - spent == 2000
    others = select(InvoiceItem.price).where(
        InvoiceItem.credit, InvoiceItem.customer_credit_id.is_(None)
    )
    assert list((await connection.execute(others)).scalars()) == [Decimal("-45.50")]
    not_credited = select(func.min(InvoiceItem.price)).where(~InvoiceItem.credit)
    assert (await connection.execute(not_credited)).scalar_one() >= 0


async def test_details_name_the_records_that_the_item_refers_to(
    connection: AsyncConnection,
) -> None:
    statement = (
        select(InvoiceItem.details, InvoiceItem.plan_component_id, Resource.uuid, Offering.uuid)
        .join(Resource, Resource.id == InvoiceItem.resource_id)
        .join(Offering, Offering.id == InvoiceItem.offering_id)
    )
    limits = 0
    for details, plan_component, resource, offering in await connection.execute(statement):
        assert details["plan_component_id"] == plan_component
        assert details["resource_uuid"] == str(resource)
        assert details["offering_uuid"] == str(offering)
        periods = details.get("resource_limit_periods", [])
        limits = max(limits, len(periods))
        for period in periods:
            assert period["total"] == str(period["quantity"] * period["billing_periods"])
    assert limits == 2


async def test_customers_of_every_kind(connection: AsyncConnection) -> None:
    def count(*conditions: Any) -> Any:
        return select(func.count()).select_from(Customer).where(*conditions)

    async def ask(*conditions: Any) -> int:
        return int((await connection.execute(count(*conditions))).scalar_one())

    assert await ask(Customer.archived) == 1
    assert await ask(Customer.accounting_start_date > TODAY) == 1
    assert await ask(Customer.id.in_(select(AccessSubnet.customer_id))) == 1
    sellers = Customer.id.in_(select(Offering.customer_id))
    buyers = Customer.id.in_(select(Invoice.customer_id))
    assert await ask(sellers, ~buyers) >= 1
    assert await ask(sellers, buyers) >= 1
    usernames = await values(connection, User.username)
    assert {"demo-staff", "demo-support", "demo-owner"} <= usernames


def test_uuids_do_not_depend_on_the_machine() -> None:
    assert str(identifier(Customer, "tammelinna")) == "437e5791-e379-59bd-9f28-e08dd281a685"
