"""The record of changes seals the frozen documents of invoices."""

import pytest
from sqlalchemy import text

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.invoices.jobs.freeze_issued import freeze_issued
from app.settings import Settings
from tests.audit.conftest import Tamper, Verify
from tests.support.factories import Factories
from tests.support.history import KEY


@pytest.fixture(autouse=True)
async def _invoice(database: Database, settings: Settings) -> None:
    """An invoice that was frozen, and got a payment URL later."""
    async with audited_transaction(database, KEY, Actor("test")) as connection:
        make = Factories(connection)
        invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
        await make.item(invoice)
    await freeze_issued(database, settings)
    async with audited_transaction(database, KEY, Actor("test")) as connection:
        await connection.execute(text("UPDATE invoices SET payment_url = 'https://pay.example'"))


async def test_the_documents_are_as_recorded(verified: Verify, database: Database) -> None:
    assert await verified() == []
    async with database.reading() as connection:
        entries = await connection.execute(
            text(
                "SELECT operation, data ->> 'document' = ("
                " SELECT encode(digest, 'hex') FROM invoice_documents WHERE version = sequence - 1)"
                " FROM invoice_history ORDER BY sequence"
            )
        )
        assert [tuple(row) for row in entries] == [
            ("test", None),
            ("freeze_issued", True),
            ("test", True),
        ]


@pytest.mark.parametrize("version", [1, 2])
async def test_a_modified_document_is_found(verified: Verify, tamper: Tamper, version: int) -> None:
    await tamper(
        'UPDATE invoice_documents SET content = content || \'{"note": "x"}\''
        " WHERE version = :version",
        version=version,
    )
    assert await verified() == [f"-: version {version} of its document was modified"]


async def test_a_modified_line_is_found_in_each_version(verified: Verify, tamper: Tamper) -> None:
    await tamper("UPDATE document_lines SET content = '{}'")
    assert await verified() == [
        "-: version 1 of its document was modified",
        "-: version 2 of its document was modified",
    ]


async def test_a_modified_document_with_its_digest_is_found(
    verified: Verify, tamper: Tamper
) -> None:
    await tamper(
        "UPDATE invoice_documents SET content = '{}', digest = sha256('{}') WHERE version = 2"
    )
    await tamper("UPDATE invoice_documents SET lines_version = 7 WHERE version = 2")
    assert await verified() == [
        "-: the invoice differs from its last entry in document",
        "-: no entry records version 2 of its document",
    ]


async def test_a_removed_document_is_found(verified: Verify, tamper: Tamper) -> None:
    await tamper("DELETE FROM invoice_documents WHERE version = 1")
    assert await verified() == ["-: the version before version 2 of its document was removed"]
