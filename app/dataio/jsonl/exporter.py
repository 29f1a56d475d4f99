"""Exports every record as JSON Lines, from one snapshot of the database.

PostgreSQL writes the lines, so that each digit is the stored one, and equal rows give equal bytes.
A kind follows the kinds that it names. Rows are in the order of their creation.
"""

import json
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from sqlalchemy import (
    FromClause,
    LargeBinary,
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

from app.audit.models import AuditChange, AuditEntry, SubjectChange, SubjectEntry
from app.database import timeouts
from app.database.copying import copy_lines
from app.database.engine import Database
from app.dataio import audit_import, document_import
from app.dataio.records.invoices import InvoiceRecord
from app.dataio.records.payments import PaymentRecord
from app.dataio.registry import PROOF_COLUMNS, RECORD_KINDS, RecordKind
from app.invoices.models import Invoice
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import (
    ProofDamaged,
    ProofMissing,
    ProofStore,
    read_verified,
)
from app.payments.proofs import Proof
from app.progress import UNWATCHED, Progress
from app.settings import Settings
from app.storage import StorageUnavailable

_PROOF_ROWS: Final = 1000
_PLANNER: Final = {"enable_sort": "off", "parallel_setup_cost": "0", "parallel_tuple_cost": "0"}
"""PostgreSQL does not know that the lines are long, and that making them takes most of the time. It
would sort them on disk, and make them in one process."""
_NO_PROOF: Final = b'"proof":null}'


class ProofUnreadable(Exception):
    """The file of a proof is missing, unreadable or not the stored one."""


async def export_lines(
    database: Database,
    settings: Settings,
    *,
    proofs: bool = True,
    progress: Progress = UNWATCHED,
) -> AsyncGenerator[bytes, None]:
    """Yield the lines, in pieces of any size. Without `proofs`, payments have no proof.

    Raises `ProofUnreadable`.
    """
    store = open_store(settings)
    async with database.snapshot() as connection:
        await timeouts.disable_timeouts(connection)
        await connection.execute(
            select(*(func.set_config(name, value, true()) for name, value in _PLANNER.items()))
        )
        if progress.is_watched:
            progress.begin("rows", await _count_rows(connection))
        kinds = (
            _with_proofs(connection, kind, store)
            if proofs and kind.model is PaymentRecord
            else copy_lines(connection, _select_lines(kind))
            for kind in RECORD_KINDS
        )
        for pieces in (
            *(copy_lines(connection, lines) for lines in audit_import.EXPORT_LINES),
            *kinds,
            *(copy_lines(connection, lines) for lines in document_import.EXPORT_LINES),
        ):
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
                    if progress.is_watched:
                        progress.advance(piece.count(b"\n"))


async def _count_rows(connection: AsyncConnection) -> int:
    tables: list[FromClause] = [kind.table for kind in RECORD_KINDS]
    tables += [each.__table__ for each in (AuditChange, AuditEntry, SubjectChange, SubjectEntry)]
    tables += document_import.EXPORTED_ROWS
    counts = [select(func.count()).select_from(each).scalar_subquery() for each in tables]
    return sum((await connection.execute(select(*counts))).one())


def _select_lines(kind: RecordKind, *columns: ColumnElement[Any]) -> Select[Any]:
    """Select the lines of a kind, and columns of its table."""
    table = kind.table
    source: FromClause = table
    tables: list[FromClause] = [table]
    values: dict[str, ColumnElement[Any]] = {
        "kind": literal(kind.name),
        **_fields_without_column(kind),
        **{link.field: link.stored(table.c.id) for link in kind.links},
    }
    for column in kind.columns:
        values[column.name] = _as_json(column)
    for reference in kind.references:
        target = reference.target.alias(f"of_{reference.field}")
        source = source.outerjoin(target, target.c.id == reference.column)
        tables.append(target)
        values[reference.field] = target.c.uuid
    fields = [values[field].label(field) for field in kind.model.model_fields]
    record = select(*fields).correlate(*tables).lateral("record")
    line = cast(func.row_to_json(record.table_valued()), Text).label("line")
    return select(line, *columns).select_from(source.join(record, true())).order_by(table.c.id)


def _as_json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column's value in JSON.

    A number is a string, of which no reader drops digits; bytes are hexadecimal.
    """
    if isinstance(column.type, LargeBinary):
        return func.encode(column, "hex")
    return cast(column, Text) if isinstance(column.type, Numeric) else column


def _fields_without_column(kind: RecordKind) -> dict[str, ColumnElement[Any]]:
    if kind.model is InvoiceRecord:
        is_unchanged = Invoice.imported_revision == Invoice.revision
        return {"unchanged_since_import": func.coalesce(is_unchanged, false())}
    return {"proof": null()} if kind.model is PaymentRecord else {}


async def _with_proofs(
    connection: AsyncConnection, kind: RecordKind, store: ProofStore
) -> AsyncGenerator[bytes, None]:
    statement = _select_lines(kind, *(kind.table.c[name] for name in PROOF_COLUMNS))
    rows = await connection.stream(statement, execution_options={"yield_per": _PROOF_ROWS})
    async for row in rows:
        line = row.line.encode()
        if row.proof_key is None:
            yield line + b"\n"
            continue
        fields = {"name": row.proof_name, "media_type": row.proof_media_type}
        fields |= {"size": row.proof_size, "sha256": row.proof_sha256, "content": ""}
        proof = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        yield line.removesuffix(_NO_PROOF) + b'"proof":' + proof.removesuffix(b'"}')
        async for piece in _proof_content(row, store):
            yield piece
        yield b'"}}\n'


async def _proof_content(row: Row[Any], store: ProofStore) -> AsyncGenerator[bytes, None]:
    """Yield the content of a proof in base64; raises `ProofUnreadable`."""
    proof = Proof(*(getattr(row, column) for column in PROOF_COLUMNS))
    waiting = b""
    try:
        async with aclosing(read_verified(store, proof)) as pieces:
            async for piece in pieces:
                waiting += piece
                whole = len(waiting) // 3 * 3  # the base64 of so many bytes has no padding
                yield b64encode(waiting[:whole])
                waiting = waiting[whole:]
        yield b64encode(waiting)
    except StorageUnavailable as error:
        match error:
            case ProofMissing():
                problem = "is missing"
            case ProofDamaged():
                problem = "does not match its stored digest"
            case _:
                problem = f"cannot be read: {error}"
        raise ProofUnreadable(f"The file of the proof {proof.key} {problem}.") from error
