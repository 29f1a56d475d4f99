"""Records become rows: each once, whole, in order, and only what differs is touched."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import BillingUnit, DeliveryState, InvoiceState, PaymentType
from app.database.base import Base
from app.database.engine import Database
from app.dataio import records
from app.dataio.import_report import ImportReport, ImportRunning, RecordsRejected
from app.dataio.loader import NOT_SENT_ERROR, import_transaction
from app.dataio.records import Record
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.repository import imports
from app.settings import Settings
from tests.support.databases import FOLLOWING
from tests.support.factories import Factories

EARLY = datetime(2024, 1, 1, tzinfo=UTC)
PDF = b"%PDF-1.7 proof"


def customer(**values: Any) -> records.CustomerRecord:
    return records.CustomerRecord(
        **{
            "uuid": uuid4(),
            "name": "Customer",
            "accounting_start_date": EARLY,
            "created_at": EARLY,
            **values,
        }
    )


def invoice(of: records.CustomerRecord, month: int = 1, **values: Any) -> records.InvoiceRecord:
    return records.InvoiceRecord(
        **{
            "uuid": uuid4(),
            "customer": of.uuid,
            "year": 2026,
            "month": month,
            "created": date(2026, month, 1),
            **values,
        }
    )


def item(
    of: records.InvoiceRecord, unit_price: str = "1.50", **values: Any
) -> records.InvoiceItemRecord:
    return records.InvoiceItemRecord(
        **{
            "uuid": uuid4(),
            "invoice": of.uuid,
            "name": "Item",
            "unit_price": Decimal(unit_price),
            "quantity": Decimal(1),
            "unit": BillingUnit.QUANTITY,
            "start": EARLY,
            "end": EARLY,
            **values,
        }
    )


def profile(of: records.CustomerRecord, **values: Any) -> records.PaymentProfileRecord:
    return records.PaymentProfileRecord(
        **{
            "uuid": uuid4(),
            "customer": of.uuid,
            "payment_type": PaymentType.INVOICES,
            **values,
        }
    )


def payment(of: records.PaymentProfileRecord, content: bytes | None = PDF, **values: Any) -> Record:
    proof = None
    if content is not None:
        proof = records.ProofRecord(
            name="proof.pdf",
            media_type="application/pdf",
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            content=b64encode(content).decode(),
        )
    return records.PaymentRecord(
        **{
            "uuid": uuid4(),
            "profile": of.uuid,
            "date_of_payment": date(2026, 1, 5),
            "sum": Decimal("10.00"),
            "created_at": EARLY,
            "proof": proof,
            **values,
        }
    )


def offering(category: records.CategoryRecord) -> records.OfferingRecord:
    return records.OfferingRecord(
        uuid=uuid4(), name="Offering", category=category.uuid, created_at=EARLY
    )


async def load(
    database: Database, settings: Settings, given: Sequence[Record], *, keep_good: bool = False
) -> ImportReport:
    async with import_transaction(database, settings, keep_good=keep_good) as loader:
        for record in given:
            await loader.add(record)
    return loader.report


async def snapshot(connection: AsyncConnection) -> dict[str, list[Any]]:
    """Every row of every table, but for those that follow from others."""
    return {
        table.name: [
            tuple(row)
            for row in await connection.execute(select(table).order_by(*table.primary_key.columns))
        ]
        for table in Base.metadata.sorted_tables
        if table.name not in FOLLOWING
    }


def counts(report: ImportReport) -> dict[str, tuple[int, int, int]]:
    return {
        kind: (each.created, each.updated, each.unchanged) for kind, each in report.counts.items()
    }


async def test_importing_twice_changes_nothing(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    bill = invoice(one, number=100500, source="focus", unchanged_since_import=True)
    category = records.CategoryRecord(uuid=uuid4(), title="Compute")
    sold = offering(category)
    credit = records.CustomerCreditRecord(
        uuid=uuid4(),
        customer=one.uuid,
        value=Decimal("5.5"),
        created_at=EARLY,
        offerings=(sold.uuid,),
    )
    paying = profile(one, attributes={"a": Decimal("1.10")})
    given = [one, category, sold, credit, bill, item(bill), item(bill, "-2"), paying]
    given.append(payment(paying, invoice=bill.uuid))
    first = await load(database, settings, given)
    assert counts(first)["invoice_item"] == (2, 0, 0)
    before = await snapshot(connection)
    files = sorted(settings.proof_dir.iterdir())
    second = await load(database, settings, given)
    assert set(counts(second).values()) <= {(0, 0, 1), (0, 0, 2)}
    assert await snapshot(connection) == before
    assert sorted(settings.proof_dir.iterdir()) == files
    row = (await connection.execute(select(Invoice))).one()
    assert row.total_price == Decimal("-0.50")
    assert row.revision == row.imported_revision


async def test_what_differs_is_updated(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    bill = invoice(one)
    lines = [item(bill), item(bill)]
    await load(database, settings, [one, bill, *lines])
    changed = lines[1].model_copy(update={"unit_price": Decimal(7)})
    report = await load(database, settings, [one, bill, lines[0], changed])
    assert counts(report)["invoice_item"] == (0, 1, 1)
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
    one = customer()
    bills = [invoice(one, month) for month in (5, 2, 9)]
    lines = [item(bills[index % 3], name=f"{index}") for index in range(50)]
    await load(database, settings, [one, *bills, *lines])
    names = await connection.execute(select(InvoiceItem.name).order_by(InvoiceItem.id))
    assert list(names.scalars()) == [f"{index}" for index in range(50)]
    months = await connection.execute(select(Invoice.month).order_by(Invoice.number))
    assert list(months.scalars()) == [5, 2, 9]


async def test_numbers_are_kept_and_the_next_ones_are_above(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    await load(database, settings, [one, invoice(one, 1, number=123456), invoice(one, 2)])
    await load(database, settings, [invoice(one, 3), invoice(one, 4, number=7)])
    rows = await connection.execute(select(Invoice.number).order_by(Invoice.month))
    assert list(rows.scalars()) == [123456, 100001, 123457, 7]


@pytest.mark.parametrize("keep_good", [False, True])
async def test_an_unknown_reference(
    database: Database, settings: Settings, connection: AsyncConnection, *, keep_good: bool
) -> None:
    one, stranger = customer(), customer()
    bill, lost = invoice(one), invoice(stranger)
    given = [one, bill, lost, item(bill), item(lost), item(bill, resource=bill.uuid)]
    if keep_good:
        report = await load(database, settings, given, keep_good=True)
    else:
        with pytest.raises(RecordsRejected) as raised:
            await load(database, settings, given)
        report = raised.value.report
    assert [str(fault) for fault in report.rejected] == [
        f"line 3 (invoice {lost.uuid}): there is no customer {stranger.uuid}",
        f"line 5 (invoice_item {given[4].uuid}): there is no invoice {lost.uuid}",
        f"line 6 (invoice_item {given[5].uuid}): there is no resource {bill.uuid}",
    ]
    items = (await connection.execute(select(InvoiceItem.uuid))).scalars().all()
    assert items == ([given[3].uuid] if keep_good else [])


async def test_a_record_given_twice_is_refused(
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = customer(), customer()
    given = [one, two, one.model_copy(update={"name": "Other"}), two]
    for batch in (100, 3):
        monkeypatch.setattr("app.dataio.loader.BATCH_RECORDS", batch)
        with pytest.raises(RecordsRejected) as raised:
            await load(database, settings, given)
        assert [(fault.line, fault.reason) for fault in raised.value.report.rejected] == [
            (3, "line 1 has the same record"),
            (4, "line 2 has the same record"),
        ]


async def test_what_the_database_refuses_is_found_in_its_batch(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    bills = [invoice(one, month) for month in range(1, 13)]
    twice = invoice(one, 7)
    profiles = [profile(one), profile(one), profile(one, is_active=False)]
    huge = item(bills[0], "999999999999", quantity=Decimal("999999999999"))
    given = [one, *bills[:9], twice, *bills[9:], *profiles, huge, item(bills[0])]
    report = await load(database, settings, given, keep_good=True)
    assert [(fault.line, fault.kind) for fault in report.rejected] == [
        (16, "payment_profile"),
        (11, "invoice"),
        (18, "invoice_item"),
    ]
    reasons = {fault.kind: fault.reason for fault in report.rejected}
    assert reasons["invoice"] == "the customer has another invoice for this month"
    assert reasons["payment_profile"] == "the customer has another active payment profile"
    assert "too large" in reasons["invoice_item"]
    assert counts(report)["invoice"] == (12, 0, 0)
    stored = (await connection.execute(select(InvoiceItem.uuid))).scalars().all()
    assert stored == [given[-1].uuid]


async def test_the_active_profile_can_change_in_any_order(
    database: Database, settings: Settings
) -> None:
    one = customer()
    old, new = profile(one), profile(one, is_active=False)
    await load(database, settings, [one, old, new])
    swapped = [
        new.model_copy(update={"is_active": True}),
        old.model_copy(update={"is_active": False}),
    ]
    report = await load(database, settings, swapped)
    assert counts(report)["payment_profile"] == (0, 2, 0)


async def test_the_import_ends_after_a_hundred_faults(
    database: Database, settings: Settings
) -> None:
    stranger = customer()
    given = [invoice(stranger, 1) for _ in range(300)]
    with pytest.raises(RecordsRejected) as raised:
        await load(database, settings, given)
    assert len(raised.value.report.rejected) == 100
    report = await load(database, settings, given, keep_good=True)
    assert (len(report.rejected), report.rejected_count) == (100, 300)


async def test_offerings_of_a_credit_follow_the_record(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one, other = customer(), customer()
    category = records.CategoryRecord(uuid=uuid4(), title="Compute")
    sold = [offering(category) for _ in range(3)]
    credit = records.CustomerCreditRecord(
        uuid=uuid4(),
        customer=one.uuid,
        value=Decimal(5),
        created_at=EARLY,
        offerings=(sold[0].uuid, sold[1].uuid),
    )
    await load(database, settings, [one, other, category, *sold, credit])
    changed = credit.model_copy(update={"offerings": (sold[2].uuid, sold[1].uuid)})
    report = await load(database, settings, [changed])
    assert counts(report)["customer_credit"] == (0, 1, 0)
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
        await load(database, settings, [lost])
    assert raised.value.report.rejected[0].reason == f"there is no offering {one.uuid}"


async def test_open_deliveries_become_history_and_stored_ones_stay(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    bill = invoice(one)
    delivery = records.DeliveryRecord(
        uuid=uuid4(),
        invoice=bill.uuid,
        recipient="a@example.com",
        state=DeliveryState.PENDING,
        next_attempt_at=EARLY,
        message_id="<1@example.com>",
        created_at=EARLY,
    )
    await load(database, settings, [one, bill, delivery])
    state = text("SELECT state, last_error, next_attempt_at FROM notification_deliveries")
    assert (await connection.execute(state)).one() == ("failed", NOT_SENT_ERROR, None)
    await connection.execute(text("UPDATE notification_deliveries SET state = 'pending'"))
    report = await load(database, settings, [delivery])
    assert counts(report)["delivery"] == (0, 0, 1)
    assert (await connection.execute(state)).one()[0] == "pending"


async def test_a_revoked_token_stays_revoked(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    user = records.UserRecord(uuid=uuid4(), username="someone", created_at=EARLY)
    token = records.TokenRecord(uuid=uuid4(), user=user.uuid, digest="0" * 64, created_at=EARLY)
    await load(database, settings, [user, token])
    await connection.execute(text("UPDATE tokens SET revoked_at = '2026-01-01Z'"))
    report = await load(database, settings, [user, token])
    assert counts(report)["token"] == (0, 0, 1)
    revoked = await connection.execute(text("SELECT revoked_at IS NOT NULL FROM tokens"))
    assert revoked.scalar_one()


async def test_proofs_are_stored_and_replaced(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    paying = profile(one)
    paid = payment(paying)
    await load(database, settings, [one, paying, paid])
    key = text("SELECT proof_key, proof_name, proof_media_type, proof_size FROM payments")
    row = (await connection.execute(key)).one()
    assert (settings.proof_dir / row.proof_key).read_bytes() == PDF
    assert tuple(row[1:]) == ("proof.pdf", "application/pdf", len(PDF))
    other = payment(paying, PDF + b" 2", uuid=paid.uuid)
    await load(database, settings, [other])
    row = (await connection.execute(key)).one()
    assert (settings.proof_dir / row.proof_key).read_bytes() == PDF + b" 2"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"content": "%%%%"}, None),
        ({"content": "abc"}, "base64"),
        ({"content": b64encode(b"%PDF-1.7 other").decode()}, "digest"),
        ({"content": b64encode(b"<script>").decode()}, "unknown type"),
        ({"content": b64encode(b"%PDF-" + b"x" * 300).decode()}, "larger"),
    ],
)
async def test_a_wrong_proof_is_refused_and_leaves_no_file(
    database: Database, settings: Settings, wrong: dict[str, str], reason: str | None
) -> None:
    settings = settings.model_copy(update={"proof_max_bytes": 200})
    one = customer()
    paying = profile(one)
    good = payment(paying)
    assert isinstance(good, records.PaymentRecord)
    assert good.proof is not None
    bad = good.model_copy(update={"uuid": uuid4(), "proof": good.proof.model_copy(update=wrong)})
    with pytest.raises(RecordsRejected) as raised:
        await load(database, settings, [one, paying, good, bad])
    fault = raised.value.report.rejected[0]
    assert (fault.line, fault.uuid) == (4, bad.uuid)
    assert reason is None or reason in fault.reason
    assert list(settings.proof_dir.iterdir()) == []


async def test_the_proof_of_a_refused_payment_goes(database: Database, settings: Settings) -> None:
    one = customer()
    paying = profile(one)
    given = [one, paying, payment(paying), payment(paying, invoice=one.uuid)]
    report = await load(database, settings, given, keep_good=True)
    assert report.rejected_count == 1
    assert len(list(settings.proof_dir.iterdir())) == 1


async def test_a_failed_import_leaves_nothing(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    paying = profile(one)

    async def stop_halfway() -> None:
        async with import_transaction(database, settings) as loader:
            for record in (one, paying, payment(paying)):
                await loader.add(record)
            await loader.flush()
            assert len(list(settings.proof_dir.iterdir())) == 1
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await stop_halfway()
    assert not any((await snapshot(connection)).values())
    assert list(settings.proof_dir.iterdir()) == []


async def test_two_imports_at_once(database: Database, settings: Settings) -> None:
    async with import_transaction(database, settings):
        with pytest.raises(ImportRunning):
            async with import_transaction(database, settings):
                pass


async def test_an_importer_can_drop_what_vanished_and_note_what_it_left(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    bill, other = invoice(one, 1), invoice(one, 2)
    lines = [item(bill), item(bill), item(other)]
    await load(database, settings, [one, bill, other, *lines])
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


async def test_an_invoice_changed_here_differs_from_its_import(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    bills = [
        invoice(one, 1, source="waldur", unchanged_since_import=True),
        invoice(one, 2, source="waldur", unchanged_since_import=False),
    ]
    await load(database, settings, [one, *bills, item(bills[0])])
    await connection.execute(
        update(Invoice).where(Invoice.month == 1).values(state=InvoiceState.PAID)
    )
    rows = await connection.execute(
        select(Invoice.revision - Invoice.imported_revision).order_by(Invoice.month)
    )
    assert list(rows.scalars()) == [1, None]


async def test_records_join_rows_that_were_made_here(
    database: Database, settings: Settings, make: Factories
) -> None:
    row = await make.customer()
    project = records.ProjectRecord(
        uuid=UUID(int=row.uuid.int ^ 1), customer=row.uuid, name="Web", created_at=EARLY
    )
    assert counts(await load(database, settings, [project])) == {"project": (1, 0, 0)}


async def test_the_stage_is_as_large_as_its_largest_batch(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.dataio.loader.BATCH_RECORDS", 50)
    size = text("SELECT pg_relation_size('import_customer')")
    sizes = set()
    async with import_transaction(database, settings) as loader:
        for _ in range(8):
            for _ in range(50):
                await loader.add(customer())
            sizes.add((await loader.connection.execute(size)).scalar_one())
    assert len(sizes) == 1
    assert sizes != {0}


async def test_a_given_price_is_kept_and_one_that_is_left_out_is_made(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    bill = invoice(one)
    given, made = item(bill, "0.0134", price=Decimal("0.01")), item(bill, "0.0134")
    await load(database, settings, [one, bill, given, made])
    statement = select(InvoiceItem.price).order_by(InvoiceItem.id)
    prices = (await connection.execute(statement)).scalars().all()
    assert list(map(str, prices)) == ["0.01", "0.02"]
    total = (await connection.execute(select(Invoice.total_price))).scalar_one()
    assert total == Decimal("0.03")


async def test_a_second_import_changes_a_price_with_its_record(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    one = customer()
    bill = invoice(one)
    line = item(bill, "0.0134", price=Decimal("0.01"))
    await load(database, settings, [one, bill, line])

    async def again(**changes: Any) -> tuple[tuple[int, int, int], str]:
        report = await load(database, settings, [line.model_copy(update=changes)])
        price = (await connection.execute(select(InvoiceItem.price))).scalar_one()
        return counts(report)["invoice_item"], str(price)

    assert await again() == ((0, 0, 1), "0.01")
    assert await again(unit_price=Decimal("0.0199")) == ((0, 1, 0), "0.01")
    assert await again(price=None) == ((0, 1, 0), "0.02")
    assert await again(price=None) == ((0, 0, 1), "0.02")
    assert await again(price=None, quantity=Decimal(3)) == ((0, 1, 0), "0.05")


async def test_a_given_price_that_is_none_of_the_item_is_refused_by_line(
    database: Database, settings: Settings
) -> None:
    one = customer()
    bill, paying = invoice(one), profile(one)
    fine, far = item(bill, price=Decimal("1.505")), item(bill, price=Decimal("1.52"))
    paid = payment(paying, content=None, sum=Decimal("1.005"))
    report = await load(database, settings, [one, bill, paying, fine, far, paid], keep_good=True)
    assert [str(fault) for fault in report.rejected] == [
        f"line 4 (invoice_item {fine.uuid}): price: more than the 2 decimals of EUR",
        f"line 5 (invoice_item {far.uuid}): price: more than 0.01 from unit_price times quantity",
        f"line 6 (payment {paid.uuid}): sum: more than the 2 decimals of EUR",
    ]
