"""The statements that read and write credit notes."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.crediting import CreditedLine, ItemRest
from app.billing.enums import ImportSource, InvoiceState
from app.invoices.models import UNFROZEN, Invoice

_LINES: Final = 100
"""The lines of a row of `credit_note_lines`."""
_BATCH_BYTES: Final = 1024 * 1024
"""Bytes after which a batch of lines ends. Details of items may be large."""


class CreditedInvoice(NamedTuple):
    """An invoice that is credited, locked until the transaction ends."""

    state: str
    tax_percent: Decimal
    net: Decimal
    gross: Decimal
    document_version: int | None
    credited_net: Decimal
    """The sum of its credit notes without tax."""
    credited_gross: Decimal


class ExceededInvoice(NamedTuple):
    """An invoice of which credit notes give back more than it has."""

    uuid: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class NewCreditNote:
    """The values of a credit note that do not come from the document of its invoice."""

    invoice_id: int
    uuid: UUID
    issue_date: date
    reason: str
    net: Decimal
    gross: Decimal
    is_paid: bool
    """Whether the invoice was paid before."""
    lines: Sequence[CreditedLine]
    source: ImportSource | None = None
    """The import that restated the bill."""


class Addressee(NamedTuple):
    """The customer whom a credit note is for."""

    credit_note_id: int
    customer_id: int
    is_notified: bool
    """Whether the service itself notifies the customer: the invoice was made or mailed by it, and
    the customer has no fixed price contract."""


async def lock_invoice(connection: AsyncConnection, invoice_id: int) -> CreditedInvoice:
    """Lock an existing invoice, and return its sums and those of its credit notes."""
    locked = select(Invoice.id).where(Invoice.id == invoice_id).with_for_update()
    await connection.execute(locked)
    row = (await connection.execute(_INVOICE, {"invoice": invoice_id})).one()
    return CreditedInvoice(*row)


async def find_rests(connection: AsyncConnection, invoice_id: int) -> Sequence[ItemRest]:
    """Return the rest of each item that is not credited whole, in the order of the invoice."""
    rows = await connection.execute(_RESTS, {"invoice": invoice_id})
    return [ItemRest(*row) for row in rows]


async def find_exceeded(connection: AsyncConnection) -> Sequence[ExceededInvoice]:
    """Return the invoices without a document that their credit notes exceed, by number.

    These are invoices whose documents the transaction has replaced, or that it has brought with
    their credit notes.
    """
    return [ExceededInvoice(*row) for row in await connection.execute(_EXCEEDED)]


async def insert_credit_note(connection: AsyncConnection, note: NewCreditNote) -> None:
    """Insert a credit note of a frozen invoice, under the next number.

    Credit notes are inserted one after another: the lock ends with the transaction, so that a
    number is neither lost nor taken twice.
    """
    await connection.execute(_LOCK)
    values = {
        "invoice": note.invoice_id,
        "uuid": note.uuid,
        "issue_date": note.issue_date,
        "reason": note.reason,
        "net": note.net,
        "gross": note.gross,
        "is_paid": note.is_paid,
        "source": note.source,
        "items": [line.item for line in note.lines],
        "taken": [line.taken for line in note.lines],
        "quantities": [line.quantity for line in note.lines],
        "unit_prices": [line.unit_price for line in note.lines],
        "prices": [line.price for line in note.lines],
    }
    await connection.execute(_INSERT, values)


async def find_addressee(connection: AsyncConnection, uuid: UUID) -> Addressee:
    """Return the addressee of an existing credit note."""
    return Addressee(*(await connection.execute(_ADDRESSEE, {"uuid": uuid})).one())


async def set_state(
    connection: AsyncConnection, invoice_id: int, state: InvoiceState, cancel_reason: str = ""
) -> None:
    """Set the state of an invoice of which nothing is left to be paid."""
    values: dict[str, Any] = {"state": state}
    if cancel_reason:
        values["cancel_reason"] = cancel_reason
    await connection.execute(update(Invoice).where(Invoice.id == invoice_id).values(values))


async def read_batches(uuid: UUID, connection: AsyncConnection) -> AsyncGenerator[bytes]:
    """Yield JSON arrays of the lines of a credit note, in the order of the invoice.

    The connection is in a transaction.
    """
    rows = await connection.stream(_BATCHES, {"uuid": uuid}, execution_options={"yield_per": 1})
    async for row in rows:
        yield row.content.encode()


_INVOICE: Final = text("""
SELECT i.state, i.tax_percent, i.total_price, i.total_cost, i.document_version,
       (SELECT coalesce(sum(n.net), 0) FROM credit_notes AS n WHERE n.invoice_id = i.id),
       i.credited
FROM invoices AS i WHERE i.id = :invoice
""")
_RESTS: Final = text("""
SELECT item.uuid, item.unit_price, item.quantity - coalesce(credited.taken, 0),
       item.price - coalesce(credited.price, 0)
FROM invoices AS i
JOIN invoice_documents AS d ON d.invoice_id = i.id AND d.version = i.document_version
JOIN document_lines AS batch ON batch.invoice_id = i.id AND batch.version = d.lines_version
CROSS JOIN LATERAL jsonb_each(batch.content) AS line
CROSS JOIN LATERAL jsonb_to_record(line.value)
    AS item (uuid uuid, unit_price numeric, quantity numeric, price numeric, position integer)
LEFT JOIN (
    SELECT line.uuid, sum(line.taken) AS taken, sum(line.price) AS price
    FROM credit_notes AS n
    JOIN credit_note_lines AS batch ON batch.credit_note_id = n.id
    CROSS JOIN LATERAL jsonb_each(batch.content) AS item
    CROSS JOIN LATERAL jsonb_to_record(item.value)
        AS line (uuid uuid, taken numeric, price numeric)
    WHERE n.invoice_id = :invoice
    GROUP BY line.uuid
) AS credited ON credited.uuid = item.uuid
WHERE i.id = :invoice AND item.price <> coalesce(credited.price, 0)
ORDER BY item.position
""")
_EXCEEDED: Final = text(f"""
WITH replaced AS (
    SELECT i.*, {UNFROZEN.text} AS is_issued FROM invoices AS i
    WHERE i.document_version IS NULL AND i.id IN (SELECT invoice_id FROM credit_notes)
), credited AS (
    SELECT n.invoice_id, line.uuid, sum(line.taken) AS taken, sum(line.price) AS price
    FROM replaced AS i
    JOIN credit_notes AS n ON n.invoice_id = i.id
    JOIN credit_note_lines AS batch ON batch.credit_note_id = n.id
    CROSS JOIN LATERAL jsonb_each(batch.content) AS each
    CROSS JOIN LATERAL jsonb_to_record(each.value)
        AS line (uuid uuid, taken numeric, price numeric)
    GROUP BY n.invoice_id, line.uuid
), exceeded AS (
    SELECT DISTINCT ON (credited.invoice_id) credited.invoice_id, format(
        'item %s would have the quantity %s and the price %s,'
        ' and credit notes give back %s and %s of it',
        credited.uuid, trim_scale(coalesce(item.quantity, 0)), coalesce(item.price, 0),
        trim_scale(credited.taken), credited.price
    ) AS reason
    FROM credited
    LEFT JOIN invoice_items AS item
        ON item.uuid = credited.uuid AND item.invoice_id = credited.invoice_id
    WHERE item.id IS NULL
        OR credited.price NOT BETWEEN least(item.price, 0) AND greatest(item.price, 0)
        OR credited.taken NOT BETWEEN least(item.quantity, 0) AND greatest(item.quantity, 0)
    ORDER BY credited.invoice_id, credited.uuid
)
SELECT i.uuid, CASE
    WHEN NOT i.is_issued THEN 'has credit notes, so that it stays issued'
    ELSE coalesce(exceeded.reason, format(
        'the total would be %s, and credit notes give back %s of it', i.total_cost, i.credited
    ))
END
FROM replaced AS i
LEFT JOIN exceeded ON exceeded.invoice_id = i.id
WHERE NOT i.is_issued OR exceeded.invoice_id IS NOT NULL
    OR i.credited NOT BETWEEN least(i.total_cost, 0) AND greatest(i.total_cost, 0)
ORDER BY i.number
""")  # noqa: S608 - made of constants
_LOCK: Final = text("LOCK TABLE credit_notes IN SHARE ROW EXCLUSIVE MODE")
_INSERT: Final = text(f"""
WITH given AS (
    SELECT * FROM unnest(
        CAST(:items AS uuid[]), CAST(:taken AS numeric[]), CAST(:quantities AS numeric[]),
        CAST(:unit_prices AS numeric[]), CAST(:prices AS numeric[])
    ) AS given (item, taken, quantity, unit_price, price)
), document AS (
    SELECT i.id, i.invoice_date, i.created, i.number, d.lines_version, d.content
    FROM invoices AS i
    JOIN invoice_documents AS d ON d.invoice_id = i.id AND d.version = i.document_version
    WHERE i.id = CAST(:invoice AS bigint)
), line AS (
    SELECT row_number() OVER (ORDER BY (line.value ->> 'position')::integer) AS place, given.price,
           (line.value ->> 'credit')::boolean AS credit,
           (line.value ->> 'is_provider_tax')::boolean AS is_provider_tax,
           line.value ->> 'uuid' AS item, line.value || jsonb_build_object(
               'taken', given.taken::text, 'quantity', given.quantity::text,
               'unit_price', given.unit_price::text, 'price', given.price::text
           ) AS content
    FROM document
    JOIN document_lines AS batch
        ON batch.invoice_id = document.id AND batch.version = document.lines_version
    CROSS JOIN LATERAL jsonb_each(batch.content) AS line
    JOIN given ON given.item = (line.value ->> 'uuid')::uuid
), batch AS (
    SELECT batch, jsonb_object_agg(item, content) AS content
    FROM (
        SELECT item, content, dense_rank() OVER (
            ORDER BY (place - 1) / {_LINES}, (bytes - octet_length(content::text)) / {_BATCH_BYTES}
        ) - 1 AS batch
        FROM (
            SELECT *, sum(octet_length(content::text)) OVER (ORDER BY place) AS bytes FROM line
        ) AS sized
    ) AS placed
    GROUP BY batch
), digested AS (
    SELECT *, sha256(convert_to(content::text, 'UTF8')) AS digest FROM batch
), head AS (
    SELECT document.id, next.number, document.content - 'api' || jsonb_build_object(
        'kind', 'credit_note', 'uuid', CAST(:uuid AS uuid), 'number', next.number,
        'issue_date', CAST(:issue_date AS date), 'due_date', NULL, 'payment_url', '',
        'reason', CAST(:reason AS text),
        'preceding', jsonb_build_object(
            'number', document.number, 'is_paid', CAST(:is_paid AS boolean),
            'issue_date', coalesce(document.invoice_date, document.created)
        ),
        'net', CAST(:net AS numeric)::text, 'gross', CAST(:gross AS numeric)::text,
        'compensations', sums.compensations::text, 'provider_tax', sums.provider_tax::text,
        'items', sums.items, 'hidden_items', 0, 'hidden_cost', '0'
    ) || jsonb_strip_nulls(jsonb_build_object('source', CAST(:source AS text))) AS content
    FROM document,
        (SELECT coalesce(max(number), 0) + 1 AS number FROM credit_notes) AS next,
        (SELECT count(*) AS items, coalesce(sum(price) FILTER (WHERE credit), 0) AS compensations,
                sum(price) FILTER (WHERE is_provider_tax) AS provider_tax FROM line) AS sums
), note AS (
    INSERT INTO credit_notes (
        uuid, number, invoice_id, issue_date, reason, net, gross, content, digest
    )
    SELECT :uuid, head.number, head.id, :issue_date, :reason, :net, :gross, head.content,
           sha256(convert_to(head.content::text, 'UTF8') || (
               SELECT coalesce(string_agg(digest, '' ORDER BY batch), '') FROM digested
           ))
    FROM head
    RETURNING id
)
INSERT INTO credit_note_lines (uuid, credit_note_id, batch, content, digest)
SELECT gen_random_uuid(), note.id, digested.batch, digested.content, digested.digest
FROM note, digested
""")  # noqa: S608 - made of constants
_ADDRESSEE: Final = text("""
SELECT n.id, i.customer_id,
       (i.source IS NULL
        OR EXISTS (SELECT FROM notification_deliveries AS d WHERE d.invoice_id = i.id))
       AND NOT EXISTS (
           SELECT FROM payment_profiles AS p
           WHERE p.customer_id = i.customer_id AND p.is_active AND p.payment_type = 'fixed_price'
       )
FROM credit_notes AS n JOIN invoices AS i ON i.id = n.invoice_id
WHERE n.uuid = :uuid
""")
_BATCHES: Final = text("""
SELECT (
    SELECT jsonb_agg(line.value - 'details' ORDER BY (line.value ->> 'position')::integer)::text
    FROM jsonb_each(batch.content) AS line
) AS content
FROM credit_notes AS n JOIN credit_note_lines AS batch ON batch.credit_note_id = n.id
WHERE n.uuid = :uuid
ORDER BY batch.batch
""")
