"""Builders of records with defaults, and imports of records, for tests."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import BillingUnit, PaymentType
from app.database.base import Base
from app.database.engine import Database
from app.dataio.import_report import ImportReport
from app.dataio.loader import import_transaction
from app.dataio.records.catalogue import CategoryRecord, OfferingRecord
from app.dataio.records.customers import CustomerRecord
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.payments import PaymentProfileRecord, PaymentRecord, ProofRecord
from app.dataio.records.record import Record
from app.settings import Settings
from tests.support.databases import FOLLOWING

EARLY = datetime(2024, 1, 1, tzinfo=UTC)


PDF = b"%PDF-1.7 proof"


def build_customer(**values: Any) -> CustomerRecord:
    return CustomerRecord(
        **{
            "uuid": uuid4(),
            "name": "Customer",
            "accounting_start_date": EARLY,
            "created_at": EARLY,
            **values,
        }
    )


def build_invoice(of: CustomerRecord, month: int = 1, **values: Any) -> InvoiceRecord:
    return InvoiceRecord(
        **{
            "uuid": uuid4(),
            "customer": of.uuid,
            "year": 2026,
            "month": month,
            "created": date(2026, month, 1),
            **values,
        }
    )


def build_item(of: InvoiceRecord, unit_price: str = "1.50", **values: Any) -> InvoiceItemRecord:
    return InvoiceItemRecord(
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


def build_profile(of: CustomerRecord, **values: Any) -> PaymentProfileRecord:
    return PaymentProfileRecord(
        **{
            "uuid": uuid4(),
            "customer": of.uuid,
            "payment_type": PaymentType.INVOICES,
            **values,
        }
    )


def build_payment(of: PaymentProfileRecord, content: bytes | None = PDF, **values: Any) -> Record:
    proof = None
    if content is not None:
        proof = ProofRecord(
            name="proof.pdf",
            media_type="application/pdf",
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            content=b64encode(content).decode(),
        )
    return PaymentRecord(
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


def build_offering(category: CategoryRecord) -> OfferingRecord:
    return OfferingRecord(uuid=uuid4(), name="Offering", category=category.uuid, created_at=EARLY)


async def import_records(
    database: Database, settings: Settings, given: Sequence[Record], *, keep_good: bool = False
) -> ImportReport:
    async with import_transaction(database, settings, keep_good=keep_good) as loader:
        for record in given:
            await loader.add(record)
    return loader.report


async def read_tables(connection: AsyncConnection) -> dict[str, list[Any]]:
    """Return every row of every table except the derived ones."""
    return {
        table.name: [
            tuple(row)
            for row in await connection.execute(select(table).order_by(*table.primary_key.columns))
        ]
        for table in Base.metadata.sorted_tables
        if table.name not in FOLLOWING
    }


def counts_by_kind(report: ImportReport) -> dict[str, tuple[int, int, int]]:
    return {
        kind: (each.created, each.updated, each.unchanged) for kind, each in report.counts.items()
    }
