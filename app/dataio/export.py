"""Export: every record, as JSON Lines, out of one snapshot of the database.

PostgreSQL writes the lines, so that each digit is what is stored; the same rows always give the
same bytes. Kinds come in an order in which none comes before what it names, rows in the order of
their creation.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import (
    FromClause,
    Numeric,
    Row,
    Select,
    Text,
    cast,
    false,
    func,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from app.audit.models import AuditChange, AuditEntry
from app.catalogue.models import Offering
from app.database import timeouts
from app.database.engine import Database
from app.dataio.audit_records import LINES
from app.dataio.records import CustomerCredit, Invoice, Payment
from app.dataio.registry import KINDS, PROOF_COLUMNS, Kind
from app.invoices.models import Invoice as InvoiceRow
from app.payments.models import CustomerCredit as CreditRow
from app.payments.models import CustomerCreditOffering
from app.payments.proofs import ProofStore
from app.settings import Settings

_ROWS_AT_ONCE: Final = 1000
_BYTES_AT_ONCE: Final = 3 * 64 * 1024  # a multiple of 3: base64 of a piece has no padding inside
_NO_PROOF: Final = b'"proof":null}'


class ProofMissing(Exception):
    """The file of a proof is not there, or not what it was."""


async def export(
    database: Database,
    settings: Settings,
    *,
    proofs: bool = True,
    progress: Callable[[float], None] | None = None,
) -> AsyncIterator[bytes]:
    """Yield the lines, in pieces of any size; without `proofs`, payments come without theirs.

    `progress` is called with the part of the rows, of 1, that was read. Raises `ProofMissing`.
    """
    store = ProofStore(settings.proof_dir, settings.proof_max_bytes)
    async with database.snapshot() as connection:
        await timeouts.disable_timeouts(connection)
        done, total = 0, 0 if progress is None else await _row_count(connection)
        for lines in LINES:
            rows = await connection.stream(lines, execution_options={"yield_per": _ROWS_AT_ONCE})
            async for some in rows.partitions():
                yield b"".join(row.line.encode() + b"\n" for row in some)
                done += len(some)
                if progress is not None:
                    progress(done / total)
        for kind in KINDS:
            rows = await connection.stream(
                _lines(kind), execution_options={"yield_per": _ROWS_AT_ONCE}
            )
            async for some in rows.partitions():
                if kind.model is Payment and proofs:
                    for row in some:
                        async for piece in _with_proof(row, store):
                            yield piece
                else:
                    yield b"".join(row.line.encode() + b"\n" for row in some)
                done += len(some)
                if progress is not None:
                    progress(done / total)


async def _row_count(connection: AsyncConnection) -> int:
    tables = [kind.table for kind in KINDS] + [AuditChange.__table__, AuditEntry.__table__]
    counts = [select(func.count()).select_from(each).scalar_subquery() for each in tables]
    return sum((await connection.execute(select(*counts))).one())


def _lines(kind: Kind) -> Select[Any]:
    """Select the lines of a kind, and what tells of a proof beside them."""
    table = kind.table
    source: FromClause = table
    tables: list[FromClause] = [table]
    given: dict[str, ColumnElement[Any]] = {"kind": literal(kind.name), **_of_one_kind(kind)}
    for column in kind.columns:
        given[column.name] = _written(column)
    for reference in kind.references:
        target = reference.target.alias(f"of_{reference.field}")
        source = source.outerjoin(target, target.c.id == reference.column)
        tables.append(target)
        given[reference.field] = target.c.uuid
    fields = [given[field].label(field) for field in kind.model.model_fields]
    record = select(*fields).correlate(*tables).lateral("record")
    line = cast(func.row_to_json(record.table_valued()), Text).label("line")
    proof = [table.c[name] for name in PROOF_COLUMNS if name in table.c]
    return select(line, *proof).select_from(source.join(record, true())).order_by(table.c.id)


def _written(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, Numeric):  # as text it keeps its digits in every reader
        return cast(column, Text)
    return column


def _of_one_kind(kind: Kind) -> dict[str, ColumnElement[Any]]:
    if kind.model is Invoice:
        as_imported = InvoiceRow.imported_revision == InvoiceRow.revision
        return {"unchanged_since_import": func.coalesce(as_imported, false())}
    if kind.model is CustomerCredit:
        offerings = (
            select(Offering.uuid)
            .join(CustomerCreditOffering, CustomerCreditOffering.offering_id == Offering.id)
            .where(CustomerCreditOffering.customer_credit_id == CreditRow.id)
            .order_by(Offering.uuid)
            .correlate(CreditRow)
        )
        return {"offerings": func.array(offerings.scalar_subquery())}
    return {"proof": null()} if kind.model is Payment else {}


async def _with_proof(row: Row[Any], store: ProofStore) -> AsyncIterator[bytes]:
    line = row.line.encode()
    if row.proof_key is None:
        yield line + b"\n"
        return
    told = {
        "name": row.proof_name,
        "media_type": row.proof_media_type,
        "size": row.proof_size,
        "sha256": row.proof_sha256,
        "content": "",
    }
    proof = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    yield line.removesuffix(_NO_PROOF) + b'"proof":' + proof.removesuffix(b'"}')
    digest = sha256()
    try:
        with await asyncio.to_thread(store.path(row.proof_key).open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, _BYTES_AT_ONCE):
                digest.update(piece)
                yield b64encode(piece)
    except FileNotFoundError as error:
        raise ProofMissing(f"The file of the proof {row.proof_key} is missing.") from error
    except OSError as error:
        raise ProofMissing(
            f"The file of the proof {row.proof_key} cannot be read: {error.strerror}."
        ) from error
    if digest.hexdigest() != row.proof_sha256:
        raise ProofMissing(f"The file of the proof {row.proof_key} is not what was stored.")
    yield b'"}}\n'
