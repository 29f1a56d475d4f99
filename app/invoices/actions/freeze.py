"""Freeze issued invoices: write the documents that everything shows from then on."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.countries import country_names
from app.documents.document import Party
from app.invoices.repository import documents
from app.invoices.repository.documents import Issuer
from app.settings import Settings

_BATCH: Final = 500
"""Invoices that an import freezes by one statement."""
_PARTY: Final = frozenset(field.name for field in fields(Party))


async def freeze(
    connection: AsyncConnection, invoice_ids: Sequence[int], settings: Settings
) -> int:
    """Freeze those invoices that were issued and are not frozen; return how many.

    Documents have the customers as they are now, and the issuer of the settings.
    """
    return await documents.freeze_invoices(connection, invoice_ids, issuer_of(settings))


async def freeze_imported(
    connection: AsyncConnection, settings: Settings, uuids: Select[tuple[UUID]] | None
) -> None:
    """Freeze the issued invoices that an import brought, and those whose documents it replaced."""
    after = 0
    while found := await documents.find_unfrozen_of_import(
        connection, uuids, after=after, limit=_BATCH
    ):
        await freeze(connection, found, settings)
        after = found[-1]


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
