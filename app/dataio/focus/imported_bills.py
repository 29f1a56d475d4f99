"""Recognizes the files of a bill that was imported and whose invoices have not changed since.

Nothing is to be read and compared then: the invoices have the items of the files.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

from sqlalchemy import Numeric, Row, cast, delete, func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import __version__
from app.billing import money
from app.billing.currencies import Currency
from app.customers.models import Customer
from app.database.statements import equals_any
from app.dataio.focus.amounts import InvoiceSums
from app.dataio.focus.charge_groups import Bill
from app.dataio.focus.import_report import InvoiceOutcome, InvoiceResult
from app.dataio.focus.models import ImportedBill
from app.dataio.focus.options import FocusImportOptions
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.states import CHANGEABLE

FORM: Final = 1
"""To be raised when an import stores something else of the same file within one release."""

_RESULT: Final = (
    Invoice.uuid,
    Customer.name,
    Invoice.year,
    Invoice.month,
    Invoice.number,
    func.sum(cast(InvoiceItem.details["billed_cost"].astext, Numeric)).label("billed"),
    func.sum(InvoiceItem.unit_price).label("charged"),
    func.sum(InvoiceItem.price).label("price"),
)


@dataclass(frozen=True)
class BillFiles:
    """The files of a bill, as they were when the import began."""

    paths: Sequence[Path]
    states: Sequence[tuple[int, ...]]
    """Device, inode, size and time of change of each; none if one is no regular file."""

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(size for _, _, size, _ in self.states)


def examine_files(paths: Sequence[Path]) -> BillFiles:
    """Return the state of files."""
    try:
        found = [path.stat() for path in paths]
    except OSError:
        return BillFiles(paths, [])
    if not all(S_ISREG(each.st_mode) for each in found):
        return BillFiles(paths, [])
    states = [(each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in found]
    return BillFiles(paths, states)


def digest_bill(files: BillFiles, options: FocusImportOptions, currency: Currency) -> bytes | None:
    """Return a digest of files, and of all else on which the items of an import depend.

    The options that only allow to change or to skip what is stored do not count. None if a file
    cannot be read, or has changed since the import began.
    """
    digests = []
    try:
        for path in files.paths:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError:
        return None
    if not files.states or examine_files(files.paths) != files:
        return None
    basis = [
        [__version__, FORM],
        [currency.code, currency.decimals],
        [options.currency, options.drop_tax_rows, options.allow_equal_rows],
        None if options.tax_percent is None else str(options.tax_percent.normalize()),
        digests,
    ]
    return hashlib.sha256(json.dumps(basis).encode()).digest()


async def has_bill_of_size(connection: AsyncConnection, size: int) -> bool:
    """Return whether a bill whose files have this size was imported."""
    statement = select(ImportedBill.digest).where(ImportedBill.file_bytes == size).limit(1)
    return (await connection.execute(statement)).first() is not None


async def find_unchanged_bill(
    connection: AsyncConnection, digest: bytes, currency: Currency
) -> tuple[Bill, list[InvoiceResult]] | None:
    """Return the bill without its groups, and its invoices; None if one has changed since."""
    table = ImportedBill
    invoices = func.unnest(table.invoice_ids, table.revisions)
    listed = invoices.table_valued("id", "revision", with_ordinality="place").render_derived()
    statement = (
        select(table.charges, func.cardinality(table.invoice_ids).label("invoices"), *_RESULT)
        .select_from(table)
        .join(listed, true())
        .join(Invoice, (Invoice.id == listed.c.id) & (Invoice.revision == listed.c.revision))
        .join(Customer, Customer.id == Invoice.customer_id)
        .join(InvoiceItem, InvoiceItem.invoice_id == Invoice.id)
        .where(table.digest == digest)
        .group_by(table.digest, listed.c.place, Invoice.id, Customer.id)
        .order_by(listed.c.place)
    )
    rows = (await connection.execute(statement)).all()
    if not rows or len(rows) != rows[0].invoices:
        return None
    charges = rows[0].charges
    bill = Bill(
        rows=charges["rows"],
        currencies=charges["currencies"],
        tax_rows=charges["tax_rows"],
        tax=Decimal(charges["tax"]),
    )
    return bill, [_to_result(row, currency) for row in rows]


def _to_result(row: Row[*tuple[Any, ...]], currency: Currency) -> InvoiceResult:
    return InvoiceResult(
        row.uuid,
        row.name,
        row.year,
        row.month,
        row.number,
        InvoiceOutcome.UNCHANGED,
        InvoiceSums(row.billed, row.charged, money.round_half_even(row.price, currency)),
    )


def is_whole(results: Sequence[InvoiceResult]) -> bool:
    """Return whether an import has stored something, all of its bill, and nothing is to be said.

    An import that changes nothing stores nothing: not even that it took place.
    """
    stored = {InvoiceOutcome.NEW, InvoiceOutcome.UPDATED}
    outcomes = {each.outcome for each in results}
    is_silent = not any(each.note for each in results)
    return is_silent and bool(outcomes & stored) and outcomes <= stored | {InvoiceOutcome.UNCHANGED}


async def record_bill(
    connection: AsyncConnection,
    digest: bytes,
    size: int,
    bill: Bill,
    results: Sequence[InvoiceResult],
) -> None:
    """Remember a bill that `is_whole`, if all of its invoices are open."""
    uuids = [each.uuid for each in results]
    found = select(Invoice.uuid, Invoice.id, Invoice.revision).where(
        equals_any(Invoice.uuid, uuids), Invoice.state.in_(CHANGEABLE)
    )
    by_uuid = {row.uuid: row for row in await connection.execute(found)}
    if len(by_uuid) != len(uuids):
        return
    invoices = [by_uuid[uuid] for uuid in uuids]
    values = {
        "digest": digest,
        "file_bytes": size,
        "charges": {
            "rows": bill.rows,
            "currencies": bill.currencies,
            "tax_rows": bill.tax_rows,
            "tax": str(bill.tax),
        },
        "invoice_ids": [row.id for row in invoices],
        "revisions": [row.revision for row in invoices],
    }
    shared = ImportedBill.invoice_ids.overlap(values["invoice_ids"])
    await connection.execute(delete(ImportedBill).where(shared))
    await connection.execute(insert(ImportedBill).values(values))
