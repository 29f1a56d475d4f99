"""The loader rejects invalid records."""

from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.dataio.import_report import RecordsRejected
from app.invoices.models import InvoiceItem
from app.settings import Settings
from tests.dataio.record_factories import (
    build_customer,
    build_invoice,
    build_item,
    build_profile,
    counts_by_kind,
    import_records,
)


@pytest.mark.parametrize("keep_good", [False, True])
async def test_a_record_that_names_a_missing_record_is_rejected(
    database: Database, settings: Settings, connection: AsyncConnection, *, keep_good: bool
) -> None:
    one, stranger = build_customer(), build_customer()
    bill, lost = build_invoice(one), build_invoice(stranger)
    given = [
        one,
        bill,
        lost,
        build_item(bill),
        build_item(lost),
        build_item(bill, resource=bill.uuid),
    ]
    if keep_good:
        report = await import_records(database, settings, given, keep_good=True)
    else:
        with pytest.raises(RecordsRejected) as raised:
            await import_records(database, settings, given)
        report = raised.value.report
    assert [str(fault) for fault in report.rejected] == [
        f"line 3 (invoice {lost.uuid}): there is no customer {stranger.uuid}",
        f"line 5 (invoice_item {given[4].uuid}): there is no invoice {lost.uuid}",
        f"line 6 (invoice_item {given[5].uuid}): there is no resource {bill.uuid}",
    ]
    items = (await connection.execute(select(InvoiceItem.uuid))).scalars().all()
    assert items == ([given[3].uuid] if keep_good else [])


async def test_a_repeated_record_is_rejected(
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = build_customer(), build_customer()
    given = [one, two, one.model_copy(update={"name": "Other"}), two]
    for batch in (100, 3):
        monkeypatch.setattr("app.dataio.loader.BATCH_RECORDS", batch)
        with pytest.raises(RecordsRejected) as raised:
            await import_records(database, settings, given)
        assert [(fault.line, fault.reason) for fault in raised.value.report.rejected] == [
            (3, "line 1 has the same record"),
            (4, "line 2 has the same record"),
        ]


async def test_a_record_that_the_database_rejects_is_found_in_its_batch(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    bills = [build_invoice(one, month) for month in range(1, 13)]
    twice = build_invoice(one, 7)
    profiles = [build_profile(one), build_profile(one), build_profile(one, is_active=False)]
    huge = build_item(bills[0], "999999999999", quantity=Decimal("999999999999"))
    given = [one, *bills[:9], twice, *bills[9:], *profiles, huge, build_item(bills[0])]
    report = await import_records(database, settings, given, keep_good=True)
    assert [(fault.line, fault.kind) for fault in report.rejected] == [
        (16, "payment_profile"),
        (11, "invoice"),
        (18, "invoice_item"),
    ]
    reasons = {fault.kind: fault.reason for fault in report.rejected}
    assert reasons["invoice"] == "the customer has another invoice for this month"
    assert reasons["payment_profile"] == "the customer has another active payment profile"
    assert "too large" in reasons["invoice_item"]
    assert counts_by_kind(report)["invoice"] == (12, 0, 0)
    stored = (await connection.execute(select(InvoiceItem.uuid))).scalars().all()
    assert stored == [given[-1].uuid]


async def test_an_import_ends_after_a_hundred_rejected_records(
    database: Database, settings: Settings
) -> None:
    stranger = build_customer()
    given = [build_invoice(stranger, 1) for _ in range(300)]
    with pytest.raises(RecordsRejected) as raised:
        await import_records(database, settings, given)
    assert len(raised.value.report.rejected) == 100
    report = await import_records(database, settings, given, keep_good=True)
    assert (len(report.rejected), report.rejected_count) == (100, 300)
