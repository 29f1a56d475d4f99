"""`document complete` fills in what issued invoices lack."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.settings import Settings
from tests.cli.test_payments import call
from tests.support.factories import Factories
from tests.support.issued import COMPLETE, issue_invoice

BARE = COMPLETE | {"country": "", "email": ""}


async def test_an_invoice_is_completed_by_its_number(
    settings: Settings, make: Factories, connection: AsyncConnection
) -> None:
    customer = await make.customer(**BARE)
    await issue_invoice(make, settings, customer=customer, number=100001)
    await connection.execute(text("UPDATE customers SET country = 'FI', name = 'Other'"))
    arguments = ("document", "complete", "100001")
    assert await call(settings, *arguments) == (
        0,
        "100001: country of the customer\n",
        "Documents completed: 1.\n",
    )
    assert await call(settings, *arguments) == (0, "", "Documents completed: 0.\n")


async def test_the_invoices_of_a_month_or_all_are_completed(
    settings: Settings, make: Factories, connection: AsyncConnection
) -> None:
    customer = await make.customer(**BARE)
    for month in (9, 10):
        await issue_invoice(
            make, settings, customer=customer, number=100 + month, period=Period(2026, month)
        )
    await make.invoice(await make.customer(), number=99)
    await connection.execute(text("UPDATE customers SET country = 'FI'"))
    answer = await call(settings, "document", "complete", "--month", "2026-09")
    assert answer == (0, "109: country of the customer\n", "Documents completed: 1.\n")
    await connection.execute(text("UPDATE customers SET email = 'a@example.com'"))
    answer = await call(settings, "document", "complete", "--all")
    assert answer == (
        0,
        "109: email of the customer\n110: country of the customer, email of the customer\n",
        "Documents completed: 2.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ((), (2, "", "Name one invoice, or give --month or --all.\n")),
        (("1", "--all"), (2, "", "Name one invoice, or give --month or --all.\n")),
        (("99",), (1, "", "Invoice 99 is not issued: it has no document yet.\n")),
        (("7",), (1, "", "There is no invoice 7.\n")),
    ],
)
async def test_what_cannot_be_completed_is_refused(
    settings: Settings, make: Factories, arguments: tuple[str, ...], answer: tuple[int, str, str]
) -> None:
    await make.invoice(await make.customer(), number=99)
    assert await call(settings, "document", "complete", *arguments) == answer
