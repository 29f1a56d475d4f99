"""The loader creates and updates rows from records."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import CreditTransactionType, DeliveryState, InvoiceState
from app.credits.models import CreditTransaction
from app.database.engine import Database
from app.dataio.import_report import ImportRunning, RecordsRejected
from app.dataio.loader import import_transaction
from app.dataio.prepared_records import NOT_SENT_ERROR
from app.dataio.records.catalogue import CategoryRecord
from app.dataio.records.credits import CreditTransactionRecord, CustomerCreditRecord
from app.dataio.records.customers import ProjectRecord
from app.dataio.records.deliveries import DeliveryRecord
from app.dataio.records.identity import TokenRecord, UserRecord
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.repository import imports
from app.settings import Settings
from tests.dataio.record_factories import (
    EARLY,
    build_customer,
    build_invoice,
    build_item,
    build_offering,
    build_payment,
    build_profile,
    counts_by_kind,
    import_records,
    read_tables,
)
from tests.support.factories import Factories


async def test_a_second_import_changes_nothing(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    bill = build_invoice(one, number=100500, source="focus", unchanged_since_import=True)
    category = CategoryRecord(uuid=uuid4(), title="Compute")
    sold = build_offering(category)
    credit = CustomerCreditRecord(
        uuid=uuid4(),
        customer=one.uuid,
        value=Decimal("5.5"),
        created_at=EARLY,
        offerings=(sold.uuid,),
    )
    paying = build_profile(one, attributes={"a": Decimal("1.10")})
    given = [one, category, sold, credit, bill, build_item(bill), build_item(bill, "-2"), paying]
    given.append(build_payment(paying, invoice=bill.uuid))
    first = await import_records(database, settings, given)
    assert counts_by_kind(first)["invoice_item"] == (2, 0, 0)
    before = await read_tables(connection)
    files = sorted(settings.proof_dir.iterdir())
    second = await import_records(database, settings, given)
    assert set(counts_by_kind(second).values()) <= {(0, 0, 1), (0, 0, 2)}
    assert await read_tables(connection) == before
    assert sorted(settings.proof_dir.iterdir()) == files
    row = (await connection.execute(select(Invoice))).one()
    assert row.total_price == Decimal("-0.50")
    assert row.revision == row.imported_revision


async def test_a_record_that_differs_updates_its_row(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    bill = build_invoice(one)
    lines = [build_item(bill), build_item(bill)]
    await import_records(database, settings, [one, bill, *lines])
    changed = lines[1].model_copy(update={"unit_price": Decimal(7)})
    report = await import_records(database, settings, [one, bill, lines[0], changed])
    assert counts_by_kind(report)["invoice_item"] == (0, 1, 1)
    row = (await connection.execute(select(Invoice))).one()
    assert row.total_price == Decimal("8.50")
    assert row.number == 100001


async def test_rows_are_created_in_the_order_of_the_records(
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.dataio.loader.BATCH_RECORDS", 7)
    one = build_customer()
    bills = [build_invoice(one, month) for month in (5, 2, 9)]
    lines = [build_item(bills[index % 3], name=f"{index}") for index in range(50)]
    await import_records(database, settings, [one, *bills, *lines])
    names = await connection.execute(select(InvoiceItem.name).order_by(InvoiceItem.id))
    assert list(names.scalars()) == [f"{index}" for index in range(50)]
    months = await connection.execute(select(Invoice.month).order_by(Invoice.number))
    assert list(months.scalars()) == [5, 2, 9]


async def test_imported_numbers_do_not_change_and_new_ones_are_higher(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    await import_records(
        database, settings, [one, build_invoice(one, 1, number=123456), build_invoice(one, 2)]
    )
    await import_records(
        database, settings, [build_invoice(one, 3), build_invoice(one, 4, number=7)]
    )
    rows = await connection.execute(select(Invoice.number).order_by(Invoice.month))
    assert list(rows.scalars()) == [123456, 100001, 123457, 7]


async def test_the_active_profile_can_change_in_any_order_of_records(
    database: Database, settings: Settings
) -> None:
    one = build_customer()
    old, new = build_profile(one), build_profile(one, is_active=False)
    await import_records(database, settings, [one, old, new])
    swapped = [
        new.model_copy(update={"is_active": True}),
        old.model_copy(update={"is_active": False}),
    ]
    report = await import_records(database, settings, swapped)
    assert counts_by_kind(report)["payment_profile"] == (0, 2, 0)


async def test_a_credit_has_the_offerings_of_its_record(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one, other = build_customer(), build_customer()
    category = CategoryRecord(uuid=uuid4(), title="Compute")
    sold = [build_offering(category) for _ in range(3)]
    credit = CustomerCreditRecord(
        uuid=uuid4(),
        customer=one.uuid,
        value=Decimal(5),
        created_at=EARLY,
        offerings=(sold[0].uuid, sold[1].uuid),
    )
    await import_records(database, settings, [one, other, category, *sold, credit])
    changed = credit.model_copy(update={"offerings": (sold[2].uuid, sold[1].uuid)})
    report = await import_records(database, settings, [changed])
    assert counts_by_kind(report)["customer_credit"] == (0, 1, 0)
    stored = await connection.execute(
        text(
            "SELECT o.uuid FROM customer_credit_offerings c JOIN offerings o ON o.id = offering_id"
        )
    )
    assert set(stored.scalars()) == {sold[1].uuid, sold[2].uuid}
    lost = changed.model_copy(
        update={"uuid": uuid4(), "customer": other.uuid, "offerings": (one.uuid,)}
    )
    with pytest.raises(RecordsRejected) as raised:
        await import_records(database, settings, [lost])
    assert raised.value.report.rejected[0].reason == f"there is no offering {one.uuid}"


async def test_an_open_delivery_is_imported_as_failed_and_a_stored_one_does_not_change(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    bill = build_invoice(one)
    delivery = DeliveryRecord(
        uuid=uuid4(),
        invoice=bill.uuid,
        recipient="a@example.com",
        state=DeliveryState.PENDING,
        next_attempt_at=EARLY,
        message_id="<1@example.com>",
        created_at=EARLY,
    )
    await import_records(database, settings, [one, bill, delivery])
    state = text("SELECT state, last_error, next_attempt_at FROM notification_deliveries")
    assert (await connection.execute(state)).one() == ("failed", NOT_SENT_ERROR, None)
    await connection.execute(text("UPDATE notification_deliveries SET state = 'pending'"))
    report = await import_records(database, settings, [delivery])
    assert counts_by_kind(report)["delivery"] == (0, 0, 1)
    assert (await connection.execute(state)).one()[0] == "pending"


async def test_a_stored_movement_of_a_credit_does_not_change(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    grant = CreditTransactionRecord(
        uuid=uuid4(),
        amount=Decimal("12.34567"),
        transaction_type=CreditTransactionType.STAFF_GRANT,
        created_at=EARLY,
    )
    await import_records(database, settings, [grant])
    larger = grant.model_copy(update={"amount": Decimal(99)})
    report = await import_records(database, settings, [larger])
    assert counts_by_kind(report) == {"credit_transaction": (0, 0, 1)}
    amounts = await connection.scalars(select(CreditTransaction.amount))
    assert list(amounts) == [Decimal("12.34567")]


async def test_a_revoked_token_stays_revoked(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    user = UserRecord(uuid=uuid4(), username="someone", created_at=EARLY)
    token = TokenRecord(uuid=uuid4(), user=user.uuid, digest="0" * 64, created_at=EARLY)
    await import_records(database, settings, [user, token])
    await connection.execute(text("UPDATE tokens SET revoked_at = '2026-01-01Z'"))
    report = await import_records(database, settings, [user, token])
    assert counts_by_kind(report)["token"] == (0, 0, 1)
    revoked = await connection.execute(text("SELECT revoked_at IS NOT NULL FROM tokens"))
    assert revoked.scalar_one()


async def test_a_failed_import_leaves_no_rows_and_no_files(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    paying = build_profile(one)

    async def stop_halfway() -> None:
        async with import_transaction(database, settings) as loader:
            for record in (one, paying, build_payment(paying)):
                await loader.add(record)
            await loader.flush()
            assert len(list(settings.proof_dir.iterdir())) == 1
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await stop_halfway()
    assert not any((await read_tables(connection)).values())
    assert list(settings.proof_dir.iterdir()) == []


async def test_only_one_import_can_run_at_a_time(database: Database, settings: Settings) -> None:
    async with import_transaction(database, settings):
        with pytest.raises(ImportRunning):
            async with import_transaction(database, settings):
                pass


async def test_an_importer_can_delete_other_items_and_mark_invoices_as_unchanged(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    bill, other = build_invoice(one, 1), build_invoice(one, 2)
    lines = [build_item(bill), build_item(bill), build_item(other)]
    await import_records(database, settings, [one, bill, other, *lines])
    async with import_transaction(database, settings) as loader:
        for record in (bill, lines[0]):
            await loader.add(record)
        assert await loader.delete_items_not_imported([bill.uuid]) == 1
        await imports.mark_unchanged_since_import(loader.connection, [bill.uuid])
    stored = await connection.execute(select(InvoiceItem.uuid).order_by(InvoiceItem.id))
    assert list(stored.scalars()) == [lines[0].uuid, lines[2].uuid]
    rows = await connection.execute(
        select(Invoice.revision == Invoice.imported_revision).order_by(Invoice.month)
    )
    assert list(rows.scalars()) == [True, None]


async def test_the_revision_of_an_invoice_that_was_changed_here_differs_from_the_imported_one(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = build_customer()
    bills = [
        build_invoice(one, 1, source="waldur", unchanged_since_import=True),
        build_invoice(one, 2, source="waldur", unchanged_since_import=False),
    ]
    await import_records(database, settings, [one, *bills, build_item(bills[0])])
    await connection.execute(
        update(Invoice).where(Invoice.month == 1).values(state=InvoiceState.PAID)
    )
    rows = await connection.execute(
        select(Invoice.revision - Invoice.imported_revision).order_by(Invoice.month)
    )
    assert list(rows.scalars()) == [1, None]


async def test_a_record_can_name_a_row_that_was_created_here(
    database: Database, settings: Settings, make: Factories
) -> None:
    row = await make.customer()
    project = ProjectRecord(
        uuid=UUID(int=row.uuid.int ^ 1), customer=row.uuid, name="Web", created_at=EARLY
    )
    assert counts_by_kind(await import_records(database, settings, [project])) == {
        "project": (1, 0, 0)
    }


async def test_a_large_import_collects_the_statistics_by_which_its_changes_are_found(
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.dataio.loader._ANALYZED_RECORDS", 3)
    one = build_customer()
    bill = build_invoice(one, state=InvoiceState.CREATED)
    await import_records(database, settings, [one, bill, build_item(bill)])
    found = await connection.execute(
        text("SELECT attname FROM pg_stats WHERE tablename = 'invoice_changes'")
    )
    assert {"change", "invoice_uuid"} <= set(found.scalars())


async def test_the_staging_table_does_not_grow_with_the_number_of_batches(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.dataio.loader.BATCH_RECORDS", 50)
    size = text("SELECT pg_relation_size('import_customer')")
    sizes = set()
    async with import_transaction(database, settings) as loader:
        for _ in range(8):
            for _ in range(50):
                await loader.add(build_customer())
            sizes.add((await loader.connection.execute(size)).scalar_one())
    assert len(sizes) == 1
    assert sizes != {0}
