"""PDFs of long documents: only what is printed is kept in memory."""

from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.documents.pdf.maker import PdfMaker
from app.documents.pdf.rendering import make_pdf
from app.invoices.queries.documents import IssuedDocument, find_document
from app.invoices.rendering.documents import render_pdf
from app.settings import Settings
from tests.documents.pdf.examples import as_json, document, lines
from tests.support.factories import Factories
from tests.support.issued import issuing


@pytest.mark.usefixtures("child_processes")
async def test_the_lines_of_a_long_document_are_summed_up_while_they_are_read(
    database: Database,
) -> None:
    items = lines(5_001)
    frozen = document(items)

    async def read_batches(_connection: AsyncConnection) -> AsyncGenerator[bytes]:
        for start in range(0, len(items), 100):
            (batch,) = as_json(frozen, items[start : start + 100])[1]
            yield batch

    content, _ = as_json(frozen, [])
    issued = IssuedDocument(1, UUID(int=1), b"", content, frozen, read_batches)
    pdf = await render_pdf(database, issued, PdfMaker())
    assert pdf == make_pdf(frozen, items, None)


async def test_documents_are_read_without_the_details_of_items(
    make: Factories, settings: Settings, connection: AsyncConnection, database: Database
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await make.item(invoice, "10", details={"notes": "x" * 100_000})
    await make.freeze(issuing(settings), invoice)
    async with database.snapshot() as snapshot:
        issued = await find_document(snapshot, invoice.id)
        assert issued is not None
        batches = [batch async for batch in issued.read_batches(snapshot)]
    assert 100 < sum(map(len, batches)) < 2_000
