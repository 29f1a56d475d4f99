"""The list of invoices, and one of them, as they are read."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.conditional_get import Answers, Readable, Selected
from app.identity.caller import Caller
from app.invoices.api.filters import InvoiceFilters, ListParameters, RetrieveParameters
from app.invoices.rendering.documents import Documents
from app.invoices.rendering.rows import Version
from app.invoices.repository.reads import (
    FoundInvoice,
    FoundPage,
    InvoiceRepository,
    is_far,
    version_of,
)


class InvoiceList(Readable):
    """A page of the invoices that a caller may see."""

    def __init__(self, answers: Answers, caller: Caller, parameters: ListParameters) -> None:
        self._answers = answers
        self._caller = caller
        self._parameters = parameters
        self._documents = Documents(answers, parameters.field)
        self.several_statements = is_far(parameters)

    async def select(self, connection: AsyncConnection) -> "_SelectedPage":
        """Find the page; raises NotFound where there is none."""
        documents = self._documents
        fields = () if documents.has_items else documents.fields
        found = await InvoiceRepository(connection, self._caller).page(self._parameters, fields)
        headers = found.page.headers(self._answers.request, self._answers.links)
        return _SelectedPage(documents, found, headers)


@dataclass
class _SelectedPage(Selected):
    documents: Documents
    found: FoundPage
    headers: dict[str, str]
    kept_whole = False

    @property
    def made_of(self) -> tuple[object, ...]:
        return (self.documents.fields, self.found.page.count, self.found.versions)

    def kept(self) -> Sequence[bytes] | None:
        if not self.documents.has_items:
            return [self.documents.light_array(self.found.rows, self.found.versions)]
        bodies = self.documents.kept(self.found.versions)
        return None if bodies is None else _as_array(bodies)

    async def made(self, connection: AsyncConnection) -> AsyncGenerator[bytes, None]:
        yield b"["
        async with aclosing(self.documents.made(connection, self.found.versions)) as parts:
            async for part in parts:
                yield part
        yield b"]"


def _as_array(bodies: Sequence[bytes]) -> list[bytes]:
    parts = [b"["]
    for body in bodies:
        parts += (body, b",")
    if bodies:
        parts.pop()
    return [*parts, b"]"]


Parameters = TypeVar("Parameters", bound=InvoiceFilters)


class OfOneInvoice(Readable, Generic[Parameters]):
    """What a request asks for of the invoice that it names."""

    def __init__(self, answers: Answers, caller: Caller, uuid: str, parameters: Parameters) -> None:
        self.answers = answers
        self.caller = caller
        self.uuid = uuid
        self.parameters = parameters

    async def find(self, connection: AsyncConnection) -> FoundInvoice:
        """Return what is first needed of the invoice; raises NotFound."""
        return await InvoiceRepository(connection, self.caller).find(self.uuid, self.parameters)


class OneInvoice(OfOneInvoice[RetrieveParameters]):
    """One invoice."""

    async def select(self, connection: AsyncConnection) -> "SelectedInvoice":
        """Find it; raises NotFound."""
        documents = Documents(self.answers, self.parameters.field)
        fields = () if documents.has_items else documents.fields
        version, row = await InvoiceRepository(connection, self.caller).retrieve(
            self.uuid, self.parameters, fields
        )
        return SelectedInvoice(documents, version, row)


@dataclass
class SelectedInvoice(Selected):
    """One invoice in one version."""

    documents: Documents
    version: Version
    row: RowMapping
    headers: dict[str, str] = field(default_factory=dict)
    kept_whole = False

    @property
    def made_of(self) -> tuple[object, ...]:
        """The fields asked for and the version."""
        return (self.documents.fields, self.version)

    def kept(self) -> Sequence[bytes] | None:
        """Return the document, if it is kept or has no items."""
        if not self.documents.has_items:
            return [self.documents.light(self.row)]
        return self.documents.kept([self.version])

    def made(self, connection: AsyncConnection) -> AsyncGenerator[bytes, None]:
        """Make the document."""
        return self.documents.made(connection, [self.version])


class ChangedInvoice(Readable):
    """An invoice that the caller changes, as it is in the transaction."""

    def __init__(self, answers: Answers, invoice_id: int) -> None:
        self._documents = Documents(answers, keep=False)
        self._invoice_id = invoice_id

    async def select(self, connection: AsyncConnection) -> SelectedInvoice:
        """Find its version."""
        version, row = await version_of(connection, self._invoice_id)
        return SelectedInvoice(self._documents, version, row)
