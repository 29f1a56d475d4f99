"""Payments without an invoice, former payment profiles, and a proof of payment."""

from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.billing.enums import PaymentType
from app.billing.periods import Period
from app.customers.models import Customer
from app.local.demo.rows import Rows, identifier
from app.payments.models import Payment, PaymentProfile
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.store import ProofStore

PROVEN: Final = ("tammelinna", 3)
"""The customer of the payment with a proof, and how many months ago its invoice's month was."""
_CONTRACT: Final = "groesswald"
"""The customer that pays a fixed price each quarter, for no single invoice."""
_CONTRACT_PART: Final = Decimal(6000)
_ADVANCE: Final = ("hollow", Decimal(250))
"""The customer that has paid an advance, which no invoice has used yet."""
_FORMER_PROFILES: Final[tuple[tuple[str, str, PaymentType, dict[str, Any]], ...]] = (
    (
        "tammelinna",
        "Leping 2024",
        PaymentType.FIXED_PRICE,
        {"agreement_number": "FP-0017", "contract_sum": 9000, "end_date": "2024-12-31"},
    ),
    ("fjordlys", "Kortbetaling", PaymentType.GATEWAY_MONTHLY, {}),
)


def add_payments(rows: Rows, now: datetime) -> None:
    """Add former payment profiles, the payments of a contract, and an advance."""
    for key, name, kind, attributes in _FORMER_PROFILES:
        rows.add(
            PaymentProfile,
            f"{key}/former",
            customer_id=identifier(Customer, key),
            name=name,
            payment_type=kind,
            attributes=attributes,
            is_active=False,
        )
    running = Period.containing(now)
    for quarter in range(4):
        paid = running.shifted(-3 * quarter - 1).start + timedelta(days=4)
        _add_payment(rows, _CONTRACT, str(quarter), _CONTRACT_PART, paid)
    key, amount = _ADVANCE
    _add_payment(rows, key, "advance", amount, running.start)


def _add_payment(rows: Rows, customer: str, key: str, amount: Decimal, paid: datetime) -> None:
    rows.add(
        Payment,
        f"{customer}/unlinked/{key}",
        profile_id=identifier(PaymentProfile, customer),
        invoice_id=None,
        date_of_payment=paid.date(),
        sum=amount,
        created_at=paid,
    )


async def store_proof(rows: Rows, store: ProofStore, payment: UUID) -> str:
    """Store a proof as a file and describe it in the payment's row; return its key."""
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin("maksekorraldus.pdf")
        await incoming.write(_receipt())
        proof = await incoming.finish()
    described = {
        "proof_key": proof.key,
        "proof_name": proof.name,
        "proof_media_type": proof.media_type,
        "proof_size": proof.size,
        "proof_sha256": proof.sha256,
    }
    for row in rows.rows_of(Payment):
        row.update(described if row["uuid"] == payment else dict.fromkeys(described))
    return proof.key


def _receipt() -> bytes:
    """Return a PDF of one page with one line of text."""
    text = b"BT /F1 18 Tf 72 760 Td (Payment order, executed) Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    document = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return document + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (size, table, size, len(document))
    )
