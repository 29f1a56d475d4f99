"""The list of credit notes: filters and orders. Conventions of lists are in tests/api."""

from datetime import date

import pytest

from app.billing.enums import InvoiceState
from tests.credit_notes.conftest import Crediting
from tests.support.factories import Factories, Row


@pytest.fixture
async def notes(make: Factories) -> list[Row]:
    """Two credit notes of invoices of two customers."""
    made = []
    for number, day in ((7, "2026-11-10"), (8, "2026-11-20")):
        invoice = await make.invoice(await make.customer(), state=InvoiceState.PAID)
        values = {"number": number, "issue_date": date.fromisoformat(day)}
        made.append(await make.credit_note(invoice, **values))
    return made


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [8, 7]),
        ("o=number", [7, 8]),
        ("o=issue_date", [7, 8]),
        ("o=-issue_date", [8, 7]),
        ("o=total,number", [7, 8]),
        ("number=7", [7]),
        ("number=9", []),
        ("issue_date=2026-11-20", [8]),
        ("start_date=2026-11-10", [8]),
        ("end_date=2026-11-20", [7]),
    ],
)
async def test_filters_and_orders(
    crediting: Crediting, notes: list[Row], query: str, numbers: list[int]
) -> None:
    response = await crediting.get(f"/api/credit-notes/?{query}")
    assert [note["number"] for note in response.json()] == numbers


@pytest.mark.parametrize("name", ["invoice_uuid", "customer_uuid"])
async def test_the_notes_of_an_invoice_or_a_customer(
    crediting: Crediting, notes: list[Row], name: str
) -> None:
    first = (await crediting.get(f"/api/credit-notes/{notes[0].uuid}/")).json()
    response = await crediting.get(f"/api/credit-notes/?{name}={first[name]}")
    assert response.json() == [first]
