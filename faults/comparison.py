"""Compares the request log with the database, the proofs and the mailbox."""

from collections import Counter
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.verify import VerificationResult, verify
from app.billing.enums import DeliveryState, InvoiceState
from app.credit_notes.models import CreditNote
from app.database.engine import Database
from app.database.statements import AnySelect
from app.deliveries.models import Delivery
from app.invoices.models import Invoice
from app.payments.models import Payment
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import ProofStore
from app.settings import Settings
from faults.cleanup import sweep_and_check_proofs
from faults.dataset import CREDITED_GROSS, CREDITED_NET, TOTAL
from faults.findings import Findings
from faults.load import LoadGenerator
from faults.request_log import ABORTED, ANNOTATIONS, MAX_SECONDS, Attempt, Kind, Operation
from tests.support import summaries
from tests.support.smtp import MailServer

_Mails: TypeAlias = Counter[tuple[str, str]]
"""How often each mail arrived, by its Message-ID and recipient."""
_MAIL = (Delivery.recipient, Delivery.state, Delivery.message_id)
_WRONG_TOTALS = text("""
SELECT i.uuid FROM invoices AS i LEFT JOIN invoice_items AS t ON t.invoice_id = i.id
GROUP BY i.id HAVING i.total_price <> coalesce(sum(t.price), 0)
""")


async def compare(
    database: Database,
    settings: Settings,
    sink: MailServer,
    load: LoadGenerator,
    *,
    breaks_connections: bool = False,
) -> Findings:
    """Compare everything, after all requests and jobs have ended.

    The database and the proofs are those of the settings; `sink` received the mails.
    `breaks_connections` means that the case breaks connections of clients.
    """
    findings = Findings()
    _compare_responses(load, findings, breaks_connections=breaks_connections)
    async with database.snapshot() as connection:
        await _compare_payments(connection, open_store(settings), load, findings)
        await _compare_annotations(connection, load, findings)
        await _compare_credit_notes(connection, load, findings)
        await _compare_notifications(connection, sink, load, findings)
        await _compare_sums(connection, findings)
    async for finding in verify(database, settings, VerificationResult()):
        findings.wrong.append(f"audit: {finding}")
    findings.wrong += await sweep_and_check_proofs(database, settings)
    return findings


def _compare_responses(
    load: LoadGenerator, findings: Findings, *, breaks_connections: bool
) -> None:
    log = load.request_log
    findings.wrong += log.violations
    for operation in log.operations:
        for attempt in operation.attempts:
            findings.requests += 1
            findings.longest = max(findings.longest, attempt.seconds)
            if attempt.succeeded:
                complaint = _too_long(attempt)
            else:
                name = _name(attempt)
                findings.errors[name] = findings.errors.get(name, 0) + 1
                complaint = _error(attempt, breaks_connections) or _too_long(attempt)
            if complaint:
                findings.wrong.append(f"{_describe(operation)}: {complaint}")
        answers = {one.sha256 for one in operation.attempts if one.succeeded}
        if len(answers) > 1:
            findings.wrong.append(f"{_describe(operation)} had two different responses")
        if operation.key and not operation.acknowledged and not _given_up(operation):
            last = operation.attempts[-1] if operation.attempts else None
            outcome = _name(last) if last else "nothing"
            findings.lost.append(
                f"{_describe(operation)} was never acknowledged; last attempt: {outcome}"
            )


def _given_up(operation: Operation) -> bool:
    return bool(operation.attempts) and operation.attempts[-1].failure == ABORTED


def _describe(operation: Operation) -> str:
    return f"{operation.kind} of {operation.invoice}" if operation.invoice else operation.kind


def _name(attempt: Attempt) -> str:
    return str(attempt.status) if attempt.status else attempt.failure


def _error(attempt: Attempt, breaks_connections: bool) -> str:
    if attempt.status is None:
        fine = breaks_connections or attempt.failure == ABORTED
        return "" if fine else f"no response: {attempt.failure}"
    if not attempt.well_formed:
        return f"{attempt.status} without the documented body"
    if attempt.status in (409, 503) and attempt.retry_after:
        return ""
    return f"{attempt.status}" + (" without Retry-After" if attempt.status == 503 else "")


def _too_long(attempt: Attempt) -> str:
    return f"took {attempt.seconds:.1f} s" if attempt.seconds > MAX_SECONDS else ""


async def _rows_by_invoice(
    connection: AsyncConnection, *columns: Any, of: Any
) -> dict[UUID, list[Row[Any]]]:
    statement = select(Invoice.uuid.label("invoice"), *columns).join(
        of, of.invoice_id == Invoice.id
    )
    found: dict[UUID, list[Row[Any]]] = {}
    for row in await connection.execute(statement):
        found.setdefault(UUID(str(row.invoice)), []).append(row)
    return found


async def _compare_payments(
    connection: AsyncConnection, proofs: ProofStore, load: LoadGenerator, findings: Findings
) -> None:
    rows = await connection.execute(select(Invoice.uuid, Invoice.state))
    states = {UUID(str(row.uuid)): row.state for row in rows}
    made = await _rows_by_invoice(
        connection,
        Payment.date_of_payment,
        Payment.sum,
        Payment.proof_key,
        Payment.proof_sha256,
        of=Payment,
    )
    requested_by_invoice: dict[UUID, list[Operation]] = {}
    for operation in load.request_log.of(Kind.PAID):
        if operation.invoice is not None:
            requested_by_invoice.setdefault(operation.invoice, []).append(operation)
    for subject in load.dataset.all:
        operations = requested_by_invoice.get(subject.uuid, [])
        payments = made.get(subject.uuid, [])
        is_paid = states.get(subject.uuid) == InvoiceState.PAID
        if any(operation.acknowledged for operation in operations):
            if not is_paid or not payments:
                findings.lost.append(f"the payment of {subject.uuid}")
        elif payments and not any(operation.uncertain for operation in operations):
            findings.wrong.append(f"a payment of {subject.uuid} that was not requested")
        if bool(payments) != is_paid:
            findings.wrong.append(
                f"{subject.uuid} is {states.get(subject.uuid)}, but has {len(payments)} payments"
            )
        if len(payments) > 1:
            findings.doubled.append(f"{len(payments)} payments of {subject.uuid}")
        requested = {operation.value for operation in operations}
        for payment in payments:
            if payment.sum != TOTAL:
                findings.wrong.append(f"a payment of {payment.sum} for {subject.uuid}")
            digest = await _digest(proofs, payment.proof_key)
            if payment.proof_sha256 != digest:
                findings.wrong.append(f"wrong digest of the proof of {subject.uuid}")
            if f"{payment.date_of_payment} {digest}" not in requested:
                findings.wrong.append(f"wrong date or proof of the payment of {subject.uuid}")


async def _digest(proofs: ProofStore, key: str | None) -> str:
    if key is None or await proofs.find(key) is None:
        return "missing"
    return sha256(b"".join([piece async for piece in proofs.read(key)])).hexdigest()


async def _compare_annotations(
    connection: AsyncConnection, load: LoadGenerator, findings: Findings
) -> None:
    columns = [getattr(Invoice, name) for name in ANNOTATIONS.values()]
    rows = (await connection.execute(select(Invoice.uuid, *columns))).mappings()
    held = {UUID(str(row["uuid"])): row for row in rows}
    possible: dict[tuple[UUID, str], set[str]] = {}
    for operation in load.request_log.of(*ANNOTATIONS):
        if operation.invoice is None:
            continue
        values = possible.setdefault((operation.invoice, ANNOTATIONS[operation.kind]), {""})
        # The client sets one field after the other, so that a later response means a later change.
        if operation.acknowledged:
            values.clear()
        if operation.acknowledged or operation.uncertain:
            values.add(operation.value)
    for (uuid, name), values in possible.items():
        found = held[uuid][name]
        if found not in values:
            findings.lost.append(
                f"{name} of {uuid} is {found!r}, not {' or '.join(sorted(values))}"
            )


async def _compare_credit_notes(
    connection: AsyncConnection, load: LoadGenerator, findings: Findings
) -> None:
    made = await _rows_by_invoice(
        connection, CreditNote.reason, CreditNote.net, CreditNote.gross, of=CreditNote
    )
    requested: dict[UUID, list[Operation]] = {}
    for operation in load.request_log.of(Kind.CREDIT):
        if operation.invoice is not None:
            requested.setdefault(operation.invoice, []).append(operation)
    for subject in load.dataset.all:
        operations = requested.get(subject.uuid, [])
        notes = made.get(subject.uuid, [])
        counts = Counter(note.reason for note in notes)
        for operation in operations:
            number = counts.pop(operation.value, 0)
            if operation.acknowledged and not number:
                findings.lost.append(f"the credit note: {operation.value}")
            elif number and not operation.acknowledged and not operation.uncertain:
                findings.wrong.append(f"a credit note that was not requested: {operation.value}")
            if number > 1:
                findings.doubled.append(f"{number} credit notes: {operation.value}")
        findings.wrong += [f"a credit note that was not requested: {r}" for r in counts]
        for note in notes:
            if (note.net, note.gross) != (CREDITED_NET, CREDITED_GROSS):
                findings.wrong.append(f"a credit note of {note.gross}: {note.reason}")
    numbers = await connection.execute(select(func.count(), func.max(CreditNote.number)))
    number, last = numbers.one()
    if number != (last or 0):
        findings.wrong.append(f"{number} credit notes, of which the last has the number {last}")


async def _compare_notifications(
    connection: AsyncConnection, sink: MailServer, load: LoadGenerator, findings: Findings
) -> None:
    arrived = Counter(
        (mail.message["Message-ID"], recipient)
        for mail in sink.mailbox
        for recipient in mail.recipients
    )
    await _compare_invoice_mails(connection, arrived, sink, load, findings)
    await _compare_credit_note_mails(connection, arrived, sink, load, findings)
    findings.wrong += [
        f"a mail {message} to {address} without a delivery" for message, address in arrived
    ]


async def _compare_invoice_mails(
    connection: AsyncConnection,
    arrived: _Mails,
    sink: MailServer,
    load: LoadGenerator,
    findings: Findings,
) -> None:
    made = await _rows_by_invoice(connection, *_MAIL, of=Delivery)
    acknowledged: set[UUID | None] = set(load.request_log.expected_notifications)
    uncertain = set()
    for operation in load.request_log.of(Kind.NOTIFY):
        if operation.acknowledged:
            acknowledged.add(operation.invoice)
        elif operation.uncertain:
            uncertain.add(operation.invoice)
    for subject in load.dataset.all:
        deliveries = made.get(subject.uuid, [])
        counts = Counter(delivery.recipient for delivery in deliveries)
        expected = Counter(subject.recipients)
        if subject.uuid in acknowledged:
            findings.lost += [f"the notification of {r}" for r in (expected - counts).elements()]
        elif counts and subject.uuid not in uncertain:
            findings.wrong.append(f"a notification of {subject.uuid} that was not requested")
        findings.doubled += [f"the notification of {r}" for r in (counts - expected).elements()]
        for delivery in deliveries:
            _compare_mail(delivery, arrived, sink, load, findings)


async def _compare_credit_note_mails(
    connection: AsyncConnection,
    arrived: _Mails,
    sink: MailServer,
    load: LoadGenerator,
    findings: Findings,
) -> None:
    """Compare the mails of all credit notes, which the service sends by itself."""
    recipients = {subject.uuid: subject.recipients for subject in load.dataset.to_credit}
    statement: AnySelect = (
        select(CreditNote.id, CreditNote.reason, Invoice.uuid, *_MAIL)
        .join(Invoice, Invoice.id == CreditNote.invoice_id)
        .outerjoin(Delivery, Delivery.credit_note_id == CreditNote.id)
    )
    made: dict[int, list[Row[Any]]] = {}
    for row in await connection.execute(statement):
        made.setdefault(row.id, []).append(row)
    for rows in made.values():
        counts = Counter(row.recipient for row in rows if row.recipient is not None)
        expected = Counter(recipients.get(UUID(str(rows[0].uuid)), ()))
        mail = f"the mail of the credit note {rows[0].reason}"
        findings.lost += [f"{mail} to {r}" for r in (expected - counts).elements()]
        findings.doubled += [f"{mail} to {r}" for r in (counts - expected).elements()]
        for row in rows:
            if row.recipient is not None:
                _compare_mail(row, arrived, sink, load, findings)


def _compare_mail(
    delivery: Row[Any], mails: _Mails, sink: MailServer, load: LoadGenerator, findings: Findings
) -> None:
    arrived = mails.pop((delivery.message_id, delivery.recipient), 0)
    mail = f"the mail {delivery.message_id} to {delivery.recipient}"
    if arrived > 1 and delivery.message_id in load.unacknowledged_mails | sink.unacknowledged:
        findings.repeated_mails += arrived - 1
    elif arrived > 1:
        findings.doubled.append(f"{mail}, {arrived} times")
    if delivery.state == DeliveryState.FAILED and delivery.recipient in sink.refused:
        if arrived:
            findings.wrong.append(f"{mail}, which is stored as refused")
    elif delivery.state != DeliveryState.SENT:
        findings.lost.append(f"{mail}: it is {delivery.state}")
    elif not arrived:
        findings.lost.append(mail)


async def _compare_sums(connection: AsyncConnection, findings: Findings) -> None:
    for uuid in (await connection.execute(_WRONG_TOTALS)).scalars():
        findings.wrong.append(f"the total of {uuid} is not the sum of its items")
    try:
        await summaries.check(connection)
    except AssertionError as error:
        findings.wrong.append(f"the summaries differ from the invoices: {error}")
