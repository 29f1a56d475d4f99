"""The history of one invoice, and one version of it, rendered while they are read."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.response_format import ResponseFormat
from app.audit import queries
from app.audit.labels import describe
from app.audit.models import ChangeKind
from app.invoices.queries.history import InvoiceHistory
from app.invoices.rendering.audited_rows import RecordedInvoice, audited_invoice, audited_row
from app.invoices.rendering.items import json_array
from app.invoices.schemas import VersionHistory, encode_version

_BATCH_SIZE: Final = 100
"""Items or payments that are rendered at a time."""


async def render_history(
    connection: AsyncConnection,
    *,
    history: InvoiceHistory,
    limit: int,
    offset: int,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield a page of the history of an invoice, newest version first."""
    entries = await queries.list_entries(
        connection, history.uuid, history.time_range, limit=limit, offset=offset
    )
    versions = _versions(connection, history.uuid, entries, response_format)
    async with aclosing(json_array(versions)) as parts:
        async for part in parts:
            yield part


async def render_version(
    connection: AsyncConnection,
    *,
    uuid: UUID,
    entry: RowMapping,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield the version of an entry with all its items and payments.

    These are null if the log does not reach back to them.
    """
    (rendered,) = [part async for part in _versions(connection, uuid, [entry], response_format)]
    # `serialized_data` stays open for the items and payments.
    yield rendered.removesuffix(b"}}")
    if await queries.is_complete(connection, uuid, entry["sequence"]):
        for name, kind in (("items", ChangeKind.ITEM), ("payments", ChangeKind.PAYMENT)):
            rows = _rows(connection, uuid, entry, kind, response_format)
            async with aclosing(json_array(rows, f',"{name}":'.encode())) as parts:
                async for part in parts:
                    yield part
    else:
        yield b',"items":null,"payments":null'
    yield b"}}"


async def _versions(
    connection: AsyncConnection,
    uuid: UUID,
    entries: Sequence[RowMapping],
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield each version as soon as the changes of the next one begin."""
    pending = list(entries)
    changes = _Changes(response_format)
    ids = [entry["change"] for entry in entries]
    async with aclosing(queries.list_changes(connection, uuid, ids)) as rows:
        async for row in rows:
            while row.change != pending[0]["change"]:
                yield _version(pending.pop(0), changes, response_format)
                changes = _Changes(response_format)
            changes.add(row)
    for entry in pending:
        yield _version(entry, changes, response_format)
        changes = _Changes(response_format)


async def _rows(
    connection: AsyncConnection,
    uuid: UUID,
    entry: RowMapping,
    kind: ChangeKind,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield the items or payments of a version in batches, without brackets."""
    batch = []
    found = queries.rows_as_of(connection, uuid, entry["sequence"], kind)
    async with aclosing(found) as rows:
        async for row in rows:
            batch.append(audited_row(kind, row.became, response_format))
            if len(batch) == _BATCH_SIZE:
                yield to_json(batch)[1:-1]
                batch = []
    if batch:
        yield to_json(batch)[1:-1]


def _version(entry: RowMapping, changes: "_Changes", response_format: ResponseFormat) -> bytes:
    """Return an entry as JSON, with the changes as the last member of `serialized_data`."""
    data = {} if entry["data"] is None else audited_invoice(entry["data"], response_format)
    user = None
    if entry["user_uuid"] is not None:
        user = {
            "uuid": response_format.links.uuid(entry["user_uuid"]),
            "username": entry["username"],
            "token": entry["token"],
        }
        if entry["impersonator_uuid"] is not None:
            user["impersonator"] = {
                "uuid": response_format.links.uuid(entry["impersonator_uuid"]),
                "username": entry["impersonator_username"],
            }
    version = VersionHistory(
        id=entry["id"],
        revision_date=entry["recorded_at"],
        revision_user=user,
        revision_comment=describe(entry["operation"], entry["comment"]),
        serialized_data=data | {"changes": changes.as_json()},
    )
    return encode_version(version, context=response_format.links)


class _Changes:
    """The changes of one entry, collected row by row."""

    def __init__(self, response_format: ResponseFormat) -> None:
        self._format = response_format
        self._was: dict[str, Any] = {}
        self._became: dict[str, Any] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {ChangeKind.ITEM: [], ChangeKind.PAYMENT: []}
        self._counts = {ChangeKind.ITEM: 0, ChangeKind.PAYMENT: 0}

    def add(self, row: Row[*tuple[Any, ...]]) -> None:
        """Add the next row of `app.audit.queries.list_changes`."""
        kind = ChangeKind(row.kind)
        was = {} if row.was is None else self._columns(kind, row.was)
        became = {} if row.became is None else self._columns(kind, row.became)
        if kind is ChangeKind.INVOICE:
            # From the state before the first change to the state after the last.
            self._was = was | self._was
            self._became = (self._became | became) if became else dict.fromkeys(was)
            return
        self._counts[kind] = row.of_kind
        if was and became:
            changed = [name for name in became if was.get(name) != became[name]]
            was = {name: was.get(name) for name in changed}
            became = {name: became[name] for name in changed}
        uuid = self._format.links.uuid(row.subject)
        self._rows[kind].append({"uuid": uuid, "was": was or None, "became": became or None})

    def as_json(self) -> dict[str, Any]:
        """Return all changes; of the invoice, each field whose value differs at the end."""
        fields = [name for name in RecordedInvoice.__annotations__ if name in self._became]
        pairs = {name: [self._was.get(name), self._became[name]] for name in fields}
        return {
            "invoice": {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
            "items": self._rows[ChangeKind.ITEM],
            "items_changed": self._counts[ChangeKind.ITEM],
            "payments": self._rows[ChangeKind.PAYMENT],
            "payments_changed": self._counts[ChangeKind.PAYMENT],
        }

    def _columns(self, kind: ChangeKind, text: str) -> dict[str, Any]:
        return audited_row(kind, text, self._format)
