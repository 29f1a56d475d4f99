"""FOCUS bills from the import by the command to the payment of the mailed invoice."""

import json
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.invoices.models import Invoice
from app.jobs.registry import CLOSE_MONTH, build_registry
from app.jobs.runner import JobRunner
from app.outbox import repository as outbox
from app.payments.models import Payment
from app.settings import IssuerDetails, Settings
from tests.cli.test_data import call
from tests.dataio.focus.files import row, write
from tests.notifications.examples import attached_text, body
from tests.support.factories import Factories, Row
from tests.support.smtp import MailServer

FIRST = datetime(2026, 11, 1, 6, tzinfo=UTC)
ACCOUNT = "EE38 2200 2210 2014 5685"


@pytest.fixture(autouse=True)
def _first_of_november() -> None:
    clock.freeze(FIRST)


@dataclass(frozen=True)
class Billing:
    """A service with a worker that notifies of what is issued and writes to the server `sink`."""

    settings: Settings
    connection: AsyncConnection
    runner: JobRunner
    sink: MailServer
    folder: Path

    async def work(self) -> None:
        """Do all jobs that are due."""
        while await self.runner.start_due_jobs():
            await self.runner.wait_until_idle()

    async def close(self) -> None:
        """Close the month."""
        await outbox.record_job(self.connection, CLOSE_MONTH, {})
        await self.work()

    async def bring(self, *amounts: tuple[str, bool], email: str = "ap@example.com") -> str:
        """Import a customer with an invoice of October; return the invoice's UUID.

        It has an item of each amount, which may be a credit.
        """
        invoice, records = _bill(amounts, email)
        lines = "".join(json.dumps(record) + "\n" for record in records)
        result = await call(self.settings, "import", "-", stdin=lines.encode())
        assert (result.exit_code, result.stderr) == (0, "")
        return invoice

    async def states(self) -> list[str]:
        """Return the states of all invoices of October."""
        statement = select(Invoice.state).where(Invoice.month == 10)
        return list((await self.connection.execute(statement)).scalars())


@pytest.fixture
async def billing(
    to_sink: Settings, connection: AsyncConnection, sink: MailServer, tmp_path: Path
) -> AsyncIterator[Billing]:
    issuer = IssuerDetails(name="Northern Cloud", bank_name="LHV", bank_account=ACCOUNT)
    settings = to_sink.model_copy(update={"notify_on_issue": True, "issuer_details": issuer})
    database = Database(settings)
    runner = JobRunner(database, settings, build_registry(settings))
    yield Billing(settings, connection, runner, sink, tmp_path)
    await runner.stop(0)
    await database.close()


def _bill(amounts: Iterable[tuple[str, bool]], email: str) -> tuple[str, list[dict[str, Any]]]:
    customer, invoice, profile = (str(uuid4()) for _ in range(3))
    early = "2026-01-01T00:00:00Z"
    records: list[dict[str, Any]] = [
        {
            "kind": "customer",
            "uuid": customer,
            "name": "Roheline Labor OÜ",
            "email": email,
            "accounting_start_date": early,
            "created_at": early,
        },
        {
            "kind": "payment_profile",
            "uuid": profile,
            "customer": customer,
            "payment_type": "invoices",
        },
        {
            "kind": "invoice",
            "uuid": invoice,
            "customer": customer,
            "year": 2026,
            "month": 10,
            "tax_percent": "20",
            "created": "2026-10-01",
        },
    ]
    for unit_price, credit in amounts:
        item = {
            "kind": "invoice_item",
            "uuid": str(uuid4()),
            "invoice": invoice,
            "name": "Outage in September" if credit else "Machine",
            "unit_price": unit_price,
            "quantity": "1",
            "unit": "quantity",
            "start": "2026-10-01T00:00:00Z",
            "end": "2026-10-31T23:59:59Z",
            "credit": credit,
        }
        records.append(item)
    return invoice, records


async def test_an_invoice_in_the_customers_favour_is_mailed_and_settled(
    billing: Billing, client: httpx.AsyncClient, make: Factories
) -> None:
    amounts = (("20.01", False), ("-30.02", True))
    invoice = await billing.bring(*amounts)
    await billing.close()

    (received,) = billing.sink.mailbox
    message = received.message
    assert message["Subject"].endswith("for Roheline Labor OÜ, October 2026, in your favour")
    for text in (body(message, "plain"), body(message, "html"), attached_text(message)):
        assert "€12.01" in text
        assert [word for word in ("Dec 1", ACCOUNT, "LHV", "Amount due") if word in text] == []

    headers = (await make.staff()).headers
    path = f"/api/invoices/{invoice}/"
    read = (await client.get(path, headers=headers)).json()
    assert (read["state"], read["total"], read["due_date"]) == (
        "created",
        "-12.0120000000",
        "2026-12-01",
    )
    answer = await client.post(f"{path}paid/", headers=headers, json={"date": "2026-11-05"})
    assert (answer.status_code, answer.json()["state"]) == (200, "paid")
    payments = (
        await billing.connection.execute(select(Payment.sum, Payment.date_of_payment))
    ).all()
    assert [(f"{payment.sum:f}", str(payment.date_of_payment)) for payment in payments] == [
        ("-12.01", "2026-11-05")
    ]


async def test_an_invoice_that_credits_paid_is_mailed_and_asks_for_nothing(
    billing: Billing,
) -> None:
    await billing.bring(("20", False), ("-20", True))
    await billing.close()
    assert await billing.states() == ["paid"]
    assert (await billing.connection.execute(select(Payment.id))).all() == []
    (received,) = billing.sink.mailbox
    message = received.message
    assert message["Subject"].endswith(", nothing to pay")
    for text in (body(message, "plain"), body(message, "html"), attached_text(message)):
        assert "Nothing is to be paid." in text
        assert [word for word in ("Dec 1", ACCOUNT, "LHV") if word in text] == []


async def test_an_invoice_without_charges_is_paid_and_not_mailed(billing: Billing) -> None:
    await billing.bring(("0", False))
    await billing.close()
    assert await billing.states() == ["paid"]
    assert billing.sink.mailbox == []
    assert (await billing.connection.execute(select(Delivery.id))).all() == []


async def test_each_address_of_a_customer_gets_the_mail_and_a_bad_one_fails(
    billing: Billing,
) -> None:
    email = "ap@example.com, the boss, cfo@example.com"
    await billing.bring(("20", False), email=email)
    await billing.close()
    assert sorted(mail.recipients for mail in billing.sink.mailbox) == [
        ["ap@example.com"],
        ["cfo@example.com"],
    ]
    result = await call(billing.settings, "delivery", "list", "--json")
    listed = json.loads(result.stdout)
    assert sorted((each["recipient"], each["state"], each["last_error"]) for each in listed) == [
        ("ap@example.com", "sent", ""),
        ("cfo@example.com", "sent", ""),
        ("the boss", "failed", "'the boss' is not an e-mail address."),
    ]


async def _mailed_cloud_bill(
    billing: Billing, client: httpx.AsyncClient, make: Factories, rows: list[dict[str, str]]
) -> EmailMessage:
    """Import and issue a cost export of one account, have it notified; return the message."""
    path = write(billing.folder / "costs.csv", rows)
    result = await call(billing.settings, "import", "--format", "focus", "--issue", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    found = select(Invoice.uuid, Invoice.customer_id)
    invoice, customer = (await billing.connection.execute(found)).one()
    await make.owner(Row(customer, uuid4()), email="ap@example.com")
    headers = (await make.staff()).headers
    path_of_invoice = f"/api/invoices/{invoice}/send_notification/"
    assert (await client.post(path_of_invoice, headers=headers)).status_code == 200
    await billing.work()
    (received,) = billing.sink.mailbox
    return received.message


async def test_tax_rows_of_a_bill_are_the_providers_tax_on_the_document(
    billing: Billing, client: httpx.AsyncClient, make: Factories
) -> None:
    rows = [
        row(BilledCost="250.00"),
        row(BilledCost="55.00", ChargeCategory="Tax", ChargeDescription="VAT of machines"),
    ]
    message = await _mailed_cloud_bill(billing, client, make, rows)
    page = attached_text(message)
    assert "VAT of machines Tax charged by the provider" in page
    for text in (body(message, "plain"), body(message, "html"), page):
        assert [word for word in ("€250.00", "€55.00", "€305.00") if word not in text] == []
        assert "without tax" not in text


async def test_the_items_of_a_cloud_bill_add_up_and_those_of_zero_are_counted(
    billing: Billing, client: httpx.AsyncClient, make: Factories
) -> None:
    rows = [row(BilledCost="0.0013", ResourceId=f"vm-{n}", ResourceName="") for n in range(40)]
    page = attached_text(await _mailed_cloud_bill(billing, client, make, rows))
    assert "Total €0.05" in page
    assert len(re.findall(r"Hours of a machine vm-\d+", page)) == 5
    assert "35 items of 0.00 are not listed; without rounding they come to 0.0455." in page
    assert "Rounding" not in page
    assert page.count("Sep 10, 2026") == 5  # the day of each line, once
