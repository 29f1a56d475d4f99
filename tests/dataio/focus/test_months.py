"""Billing periods become months of invoices."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.dataio.focus import identifiers
from app.dataio.focus.charge_groups import InvoiceKey, make_account_key
from app.invoices.models import Invoice
from tests.dataio.focus.bill_importer import (
    OCTOBER,
    BillImporter,
    load_items,
)
from tests.dataio.focus.files import row


async def test_a_billing_period_of_another_time_zone_is_its_month(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    report = await importer(
        row(
            BillingPeriodStart="2026-09-01T00:00:00+03:00",
            BillingPeriodEnd="2026-10-01T00:00:00+03:00",
            ChargePeriodStart="2026-09-01T00:00:00+03:00",
            ChargePeriodEnd="2026-09-01T01:00:00+03:00",
        )
    )
    assert [(each.year, each.month) for each in report.invoices] == [(2026, 9)]
    starts = select(Customer.accounting_start_date).where(Customer.name == "Õunaaed OÜ")
    assert (await connection.execute(starts)).scalar_one() == datetime(2026, 9, 1, tzinfo=UTC)
    (item,) = await load_items(connection)
    assert item.start == datetime(2026, 8, 31, 21, tzinfo=UTC)
    assert item.end == datetime(2026, 8, 31, 21, 59, 59, 999999, tzinfo=UTC)


async def test_a_period_that_ends_with_its_last_day_includes_that_day(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(
        row(
            BillingPeriodStart="2026-09-01",
            BillingPeriodEnd="2026-09-30",
            ChargePeriodStart="2026-09-01",
            ChargePeriodEnd="2026-10-01",
        )
    )
    (item,) = await load_items(connection)
    assert item.start == datetime(2026, 9, 1, tzinfo=UTC)
    assert item.end == datetime(2026, 9, 30, 23, 59, 59, 999999, tzinfo=UTC)


async def test_new_invoices_are_numbered_by_month_and_account(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    report = await importer(
        row(**OCTOBER), row(BillingAccountId="b"), row(BillingAccountId="a"), row(**OCTOBER)
    )
    assert [(each.month, each.number) for each in report.invoices] == [
        (9, 100001),
        (9, 100002),
        (10, 100003),
    ]
    a = select(Invoice.number).where(
        Invoice.uuid
        == identifiers.invoice_uuid(InvoiceKey(2026, 9, make_account_key("a", "Pilveke")))
    )
    assert (await connection.execute(a)).scalar_one() == 100001
