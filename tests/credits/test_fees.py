"""Affiliates earn a fee from each issued invoice, once."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.credits.actions.accrue_fees import accrue_fees
from app.credits.models import AffiliateFeeAccrual, CreditTransaction, CustomerCredit
from app.invoices.actions.issue import IssueInvoice, issue
from app.settings import Settings
from tests.support.factories import Factories, Row


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))


@pytest.fixture
def affiliated(settings: Settings) -> Settings:
    return settings.model_copy(update={"customer_affiliates": True})


async def accruals(connection: AsyncConnection) -> list[Decimal]:
    rows = await connection.execute(select(AffiliateFeeAccrual.amount))
    return list(rows.scalars())


async def value_of(connection: AsyncConnection, customer: Row) -> Decimal | None:
    statement = select(CustomerCredit.value).where(CustomerCredit.customer_id == customer.id)
    return (await connection.execute(statement)).scalar_one_or_none()


async def test_a_fee_is_of_the_price_after_compensations_and_accrues_once(
    make: Factories, connection: AsyncConnection, affiliated: Settings
) -> None:
    customer, affiliate = await make.customer(), await make.customer()
    await make.affiliate(customer, affiliate, fee_percent=Decimal("12.5"))
    await make.credit(customer, "10")
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    await make.item(invoice, "50.02")
    await issue(connection, IssueInvoice(invoice.id), affiliated)
    await accrue_fees(connection, [invoice.id])
    assert await accruals(connection) == [Decimal("6.25250")]
    assert await value_of(connection, affiliate) == Decimal("6.25250")
    fees = select(CreditTransaction.__table__).where(
        CreditTransaction.transaction_type == "affiliate_fee"
    )
    (row,) = await connection.execute(fees)
    assert (row.customer_uuid, row.invoice_uuid) == (affiliate.uuid, invoice.uuid)
    assert row.billing_period == date(2026, 10, 1)


@pytest.mark.parametrize(
    ("dates", "earns"),
    [
        ({"start_date": date(2026, 10, 31)}, True),
        ({"start_date": date(2026, 11, 1)}, False),
        ({"end_date": date(2026, 10, 31)}, False),
        ({"end_date": date(2026, 11, 1)}, True),
        ({"is_active": False}, False),
    ],
)
async def test_a_link_earns_in_the_months_whose_last_day_lies_between_its_dates(
    make: Factories,
    connection: AsyncConnection,
    affiliated: Settings,
    dates: dict[str, object],
    earns: bool,
) -> None:
    customer = await make.customer()
    await make.affiliate(customer, await make.customer(), **dates)
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    await issue(connection, IssueInvoice(invoice.id), affiliated)
    assert await accruals(connection) == ([Decimal(1)] if earns else [])


async def test_an_invoice_in_favour_of_the_customer_has_no_fee(
    make: Factories, connection: AsyncConnection, affiliated: Settings
) -> None:
    customer, affiliate = await make.customer(), await make.customer()
    await make.affiliate(customer, affiliate)
    invoice = await make.invoice(customer)
    await make.item(invoice, "-10")
    await issue(connection, IssueInvoice(invoice.id), affiliated)
    assert await accruals(connection) == []
    assert await value_of(connection, affiliate) is None


async def test_no_fee_accrues_unless_affiliates_are_switched_on(
    make: Factories, connection: AsyncConnection, settings: Settings
) -> None:
    customer = await make.customer()
    await make.affiliate(customer, await make.customer())
    invoice = await make.invoice(customer)
    await make.item(invoice, "10")
    await issue(connection, IssueInvoice(invoice.id), settings)
    assert await accruals(connection) == []
