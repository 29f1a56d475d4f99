"""What is computed of a record before the loader queues it. Needs no database.

So a file's records can be prepared while PostgreSQL writes those before them.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from app.billing import money
from app.billing.currencies import Currency
from app.billing.enums import DeliveryState
from app.dataio.records.audit import AuditRecord
from app.dataio.records.customers import CustomerRecord
from app.dataio.records.deliveries import DeliveryRecord
from app.dataio.records.documents import DocumentRecord
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.payments import PaymentRecord
from app.dataio.records.record import Record
from app.dataio.registry import RECORD_KIND_BY_MODEL

NOT_SENT_ERROR: Final = "Was not sent yet when it was exported."
_WIDE_TAX: Final = 100
Row = Sequence[Any]
"""The values of a record in the order of its staging table: the UUID first, the line last."""


class PreparedRecord(NamedTuple):
    """A record, and the row that is written for it."""

    record: Record
    line: int
    size: int
    """The length of the line in bytes."""
    row: Row | None = None
    """None for records of the audit trail, documents, and payments whose proof is to be stored."""
    reason: str | None = None
    """Why the record is rejected."""


def prepare(record: Record, line: int, size: int, currency: Currency) -> PreparedRecord:
    """Return a record with its row, or why it is rejected."""
    if isinstance(record, AuditRecord | DocumentRecord):
        return PreparedRecord(record, line, size)
    if reason := _amount_error(record, currency):
        return PreparedRecord(record, line, size, reason=reason)
    if isinstance(record, PaymentRecord) and record.proof is not None:
        return PreparedRecord(record, line, size)
    if isinstance(record, DeliveryRecord):
        record = _closed_delivery(record)
    return PreparedRecord(record, line, size, row_of(record, line))


def row_of(record: Record, line: int, proof: Sequence[object] = ()) -> Row:
    """Return the row of a record, with the values of the proof's columns."""
    row = RECORD_KIND_BY_MODEL[type(record)].values(record, proof)
    if isinstance(record, InvoiceRecord):
        row.append(record.unchanged_since_import)
    row.append(line)
    return row


def has_wide_tax(record: Record) -> bool:
    """Return whether an invoice has a tax of 100 % or more, or a customer's next one will."""
    match record:
        case CustomerRecord():
            return record.default_tax_percent >= _WIDE_TAX
        case InvoiceRecord():
            return record.tax_percent >= _WIDE_TAX
        case _:
            return False


def _amount_error(record: Record, currency: Currency) -> str | None:
    """Return why an amount of a record is invalid in the currency; None if it is valid."""
    match record:
        case PaymentRecord():
            name, amount = "sum", record.sum
        case InvoiceItemRecord(price=Decimal() as price):
            name, amount = "price", price
        case _:
            return None
    if not money.fits_smallest_unit(amount, currency):
        return f"{name}: more than the {currency.decimals} decimals of {currency.code}"
    if isinstance(record, InvoiceItemRecord) and not money.is_near_product(
        amount, record.unit_price, record.quantity, currency
    ):
        return f"price: more than {currency.smallest_unit} from unit_price times quantity"
    return None


def _closed_delivery(delivery: DeliveryRecord) -> DeliveryRecord:
    """Return a delivery that is not to be sent: an open one becomes a failed one."""
    if delivery.state not in (DeliveryState.PENDING, DeliveryState.SENDING):
        return delivery
    return delivery.model_copy(
        update={
            "state": DeliveryState.FAILED,
            "next_attempt_at": None,
            "last_error": NOT_SENT_ERROR,
        }
    )
