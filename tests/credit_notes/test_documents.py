"""Credit notes as e-invoices: the official rules accept them."""

from dataclasses import replace
from uuid import UUID

import pytest

from app.credit_notes.queries.documents import find_document
from app.database.engine import Database
from app.documents.document import DocumentLine, FrozenDocument
from app.documents.profiles import PROFILES
from app.documents.requirements import find_problems
from app.documents.xml_documents import write_xml
from tests.credit_notes.conftest import Crediting, Issue
from tests.support.documents import BUYER, SELLER
from tests.support.einvoice_rules import judge

Note = tuple[FrozenDocument, list[DocumentLine]]


async def read(database: Database, note: dict[str, str]) -> Note:
    """Read a credit note; its parties have all that profiles require."""
    async with database.snapshot() as connection:
        uuid = UUID(note["uuid"])
        issued = await find_document(connection, uuid)
        lines = [line async for batch in issued.read_lines(connection) for line in batch]
    return replace(issued.document, seller=SELLER, buyer=BUYER, buyer_reference="991-1"), lines


@pytest.mark.parametrize("is_paid", [True, False])
async def test_the_official_rules_accept_the_credit_notes_of_parts_and_of_the_rest(
    crediting: Crediting, issued: Issue, database: Database, is_paid: bool
) -> None:
    invoice = await issued("10.01", "33.333", "-2.5", is_paid=is_paid)
    first, second, _third = await crediting.items(invoice)
    bodies = [
        {"items": [{"uuid": first, "price": "3.33"}]},
        {"items": [{"uuid": second, "quantity": "0.3333333333"}, {"uuid": first, "price": "1"}]},
        {},
    ]
    for body in bodies:
        document, lines = await read(database, await crediting.credit(invoice, **body))
        for profile in PROFILES:
            assert not find_problems(document, [lines], profile)
            verdict = judge(write_xml(document, lines, profile), profile)
            assert not verdict.fatal, (profile, verdict)
