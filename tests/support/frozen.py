"""The documents of issued invoices, as the database has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.code_lists import COUNTRIES
from app.database.engine import Database
from app.documents.document import DocumentLine, FrozenDocument
from app.invoices.actions.freeze import freeze
from app.invoices.queries.documents import find_document
from app.invoices.repository.documents import replace_documents
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Frozen:
    """A document and its lines, in the order of the API."""

    document: FrozenDocument
    lines: Sequence[DocumentLine]


async def frozen_documents(database: Database) -> Sequence[Frozen]:
    """Return the present documents of all invoices, those with the fewest lines first."""
    found = []
    async with database.transaction() as connection:
        ids = await connection.scalars(
            text("SELECT id FROM invoices WHERE document_version IS NOT NULL ORDER BY id")
        )
        for invoice_id in ids.all():
            issued = await find_document(connection, invoice_id)
            assert issued
            lines = [line async for batch in issued.read_lines(connection) for line in batch]
            found.append(Frozen(issued.document, lines))
    return sorted(found, key=lambda each: (len(each.lines), each.document.number))


async def freeze_completed(
    database: Database, settings: Settings, customers: Mapping[str, Any]
) -> None:
    """Fill in values of customers who lack them, and freeze all issued invoices anew.

    Unknown countries are replaced. Invoices without tax get the category Z.
    """
    filled = ", ".join(f"{name} = coalesce(nullif({name}, ''), :{name})" for name in customers)
    async with database.transaction() as connection:
        await connection.execute(
            text("UPDATE customers SET country = '' WHERE upper(country) <> ALL (:known)"),
            {"known": list(COUNTRIES)},
        )
        await connection.execute(text(f"UPDATE customers SET {filled}"), customers)
        await _freeze_anew(connection, settings, "tax_percent > 0")
        await connection.execute(
            text("UPDATE customers SET tax_category = 'Z' WHERE tax_category = ''")
        )
        await _freeze_anew(connection, settings, "tax_percent = 0")


async def _freeze_anew(connection: AsyncConnection, settings: Settings, condition: str) -> None:
    await replace_documents(connection)
    ids = await connection.scalars(
        text(
            "UPDATE invoices SET document_version = NULL"
            f" WHERE document_version IS NOT NULL AND {condition} RETURNING id"
        )
    )
    await freeze(connection, ids.all(), settings)
