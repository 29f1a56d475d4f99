"""Freeze issued invoices: write the documents that everything shows from then on."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.customers.countries import country_names
from app.database import import_lock
from app.database.engine import Database
from app.database.large_statements import allow_parallel_processes
from app.database.reads import Reads
from app.documents.document import Party
from app.domain_errors import TemporarilyUnavailable
from app.invoices.queries.documents import IssuedDocument, find_document
from app.invoices.repository import documents
from app.invoices.repository.documents import Issuer
from app.settings import Settings

FREEZER: Final = Actor("freeze_issued")
"""The actor of invoices that are frozen later than at their issue."""
_BATCH: Final = 1000
"""Invoices that an import freezes at a time."""
_PARTY: Final = frozenset(field.name for field in fields(Party))


async def freeze(
    connection: AsyncConnection,
    invoice_ids: Sequence[int],
    settings: Settings,
    *,
    is_late: bool = True,
) -> int:
    """Freeze those invoices that were issued and are not frozen; return how many.

    Documents have the customers as they are now, and the issuer of the settings. An invoice that
    was issued earlier has the tax category of its customer only if the tax that was charged belongs
    to it.
    """
    issuer = issuer_of(settings)
    return await documents.freeze_invoices(connection, invoice_ids, issuer, is_late=is_late)


async def find_or_freeze(
    database: Database, settings: Settings, invoice_id: int, reads: Reads | None = None
) -> IssuedDocument:
    """Return the document of an invoice; freeze one that was issued before there were documents.

    A request passes its own reads.

    Raises NotIssued, and TemporarilyUnavailable if the invoice would have to be frozen while an
    import runs.
    """
    reads = reads or database
    found = await _find(reads, invoice_id)
    if found is None:
        async with audited_transaction(database, settings.audit_key, FREEZER) as connection:
            if not await import_lock.try_lock_out_imports(connection):
                raise _unavailable()
            locked = await documents.lock_unfrozen(connection, [invoice_id])
            await freeze(connection, locked, settings)
        reads.use_primary()
        found = await _find(reads, invoice_id)
    if found is None:  # an import has replaced the invoice in between
        raise _unavailable()
    return found


async def _find(reads: Reads, invoice_id: int) -> IssuedDocument | None:
    async with reads.reading() as connection:
        return await find_document(connection, invoice_id)


def _unavailable() -> TemporarilyUnavailable:
    message = "The document cannot be frozen now, because an import is running. Try again."
    return TemporarilyUnavailable(message, import_lock.RETRY_AFTER)


async def freeze_imported(
    connection: AsyncConnection, settings: Settings, uuids: Select[tuple[UUID]] | None
) -> int:
    """Freeze the issued invoices that an import brought, and those whose documents it replaced.

    Return how many.
    """
    issuer = issuer_of(settings)
    await allow_parallel_processes(connection)
    after = frozen = 0
    while found := await documents.find_unfrozen_of_import(
        connection, uuids, after=after, limit=_BATCH
    ):
        frozen += await documents.freeze_many(connection, found, issuer)
        after = found[-1]
    return frozen


def issuer_of(settings: Settings) -> Issuer:
    """Return the issuer of the settings: the texts of ISSUER_DETAILS that a document knows."""
    details = settings.issuer_details.model_dump()
    texts = {name: value for name, value in details.items() if isinstance(value, str)}
    return Issuer(
        currency=settings.currency.code,
        language=settings.locale.replace("_", "-"),
        note=texts.get("invoice_note", ""),
        seller={name: value for name, value in texts.items() if name in _PARTY},
        details=to_json(details).decode(),
        country_names=country_names(settings.locale),
    )
