"""The history of one invoice, and the invoice as it was at a moment."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.conditional_get import Answers, Selected
from app.api.pagination import Page
from app.audit import queries
from app.audit.models import ChangeKind
from app.audit.queries import TimeRange
from app.billing.currencies import get_currency
from app.formats import parse_uuid
from app.invoices.api.filters import HistoryParameters, MomentParameters
from app.invoices.errors import InvoiceNotFound, VersionNotFound
from app.invoices.queries.invoices import OfOneInvoice
from app.invoices.rendering.versions import Changes, encode, encode_version, shown

_TOGETHER: Final = 100
"""Items or payments that are written at a time."""


def _uuid(text: str) -> UUID:
    uuid = parse_uuid(text)
    if uuid is None:  # it names none; whoever finds it has told so
        raise InvoiceNotFound
    return uuid


class InvoiceHistory(OfOneInvoice[HistoryParameters]):
    """A page of the entries of one invoice, the newest first."""

    several_statements = True

    async def select(self, connection: AsyncConnection) -> "_SelectedHistory":
        """Find the invoice and count its entries; raises InvoiceNotFound."""
        await self.find(connection)
        uuid = _uuid(self.uuid)
        span = TimeRange(self.parameters.created_after, self.parameters.created_before)
        page = Page(self.parameters, await queries.count_entries(connection, uuid, span))
        headers = page.headers(self.answers.request, self.answers.links)
        return _SelectedHistory(self.answers, uuid, span, page, headers)


@dataclass
class _SelectedHistory(Selected):
    answers: Answers
    uuid: UUID
    span: TimeRange
    page: Page
    headers: dict[str, str]

    @property
    def made_of(self) -> tuple[object, ...]:
        # Entries do not change: their number names them. The links repeat the whole query.
        scope = self.answers.request.scope
        return ("history", self.uuid, self.page.count, scope["path"], scope["query_string"])

    async def made(self, connection: AsyncConnection) -> AsyncGenerator[bytes, None]:
        entries = await queries.list_entries(
            connection, self.uuid, self.span, limit=self.page.size, offset=self.page.offset
        )
        opening = b"["
        async with aclosing(_versions(connection, self.uuid, entries, self.answers)) as versions:
            async for version in versions:
                yield opening + version
                opening = b","
        yield b"[]" if opening == b"[" else b"]"


async def _versions(
    connection: AsyncConnection, uuid: UUID, entries: Sequence[RowMapping], answers: Answers
) -> AsyncGenerator[bytes, None]:
    """Yield entries, each as soon as the next one's changes begin."""
    waiting = list(entries)
    links, currency = answers.links, get_currency(answers.settings.currency)
    changes = Changes(links, currency)
    of = [entry["change"] for entry in entries]
    async with aclosing(queries.list_changes(connection, uuid, of)) as rows:
        async for row in rows:
            while row.change != waiting[0]["change"]:
                yield encode_version(waiting.pop(0), changes, links, currency)
                changes = Changes(links, currency)
            changes.add(row)
    for entry in waiting:
        yield encode_version(entry, changes, links, currency)
        changes = Changes(links, currency)


class InvoiceAtMoment(OfOneInvoice[MomentParameters]):
    """One invoice as it was, with its items and payments."""

    several_statements = True

    async def select(self, connection: AsyncConnection) -> "_SelectedVersion":
        """Find the entry of then; raises VersionNotFound where there was none yet."""
        await self.find(connection)
        uuid = _uuid(self.uuid)
        span = TimeRange(before=self.parameters.timestamp)
        entries = await queries.list_entries(connection, uuid, span)
        if not entries:
            raise VersionNotFound
        return _SelectedVersion(self.answers, uuid, entries[0])


@dataclass
class _SelectedVersion(Selected):
    answers: Answers
    uuid: UUID
    entry: RowMapping
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def made_of(self) -> tuple[object, ...]:
        # What came before an entry does not change either.
        return ("version", self.uuid, self.entry["id"])

    async def made(self, connection: AsyncConnection) -> AsyncGenerator[bytes, None]:
        [version] = [
            version
            async for version in _versions(connection, self.uuid, [self.entry], self.answers)
        ]
        # `serialized_data` stays open for what belonged to the invoice.
        yield version.removesuffix(b"}}")
        if await queries.is_complete(connection, self.uuid, self.entry["sequence"]):
            for name, kind in (("items", ChangeKind.ITEM), ("payments", ChangeKind.PAYMENT)):
                async with aclosing(self._rows(connection, name, kind)) as parts:
                    async for part in parts:
                        yield part
        else:
            yield b',"items":null,"payments":null'
        yield b"}}"

    async def _rows(
        self, connection: AsyncConnection, name: str, kind: ChangeKind
    ) -> AsyncGenerator[bytes, None]:
        currency = get_currency(self.answers.settings.currency)
        opening = f',"{name}":['.encode()
        some = []
        found = queries.rows_as_of(connection, self.uuid, self.entry["sequence"], kind)
        async with aclosing(found) as rows:
            async for row in rows:
                some.append(shown(kind, row.became, self.answers.links, currency))
                if len(some) == _TOGETHER:
                    yield opening + encode(some)
                    opening, some = b",", []
        yield (opening + encode(some) if some or opening != b"," else b"") + b"]"
