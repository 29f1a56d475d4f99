"""An invoice is read as its customer is told it, and arrives so."""

from decimal import Decimal

import pytest
from sqlalchemy import insert, update

from app.billing.periods import Period
from app.billing.vocabulary import BillingUnit, InvoiceState
from app.customers.tables import Customer
from app.database.engine import Database
from app.invoices.tables import InvoiceItem
from app.notifications import invoices
from app.settings import Settings
from tests.notifications.conftest import Desk
from tests.notifications.examples import body, compose, document
from tests.support.factories import Factories, Row
from tests.support.smtp import MailSink


async def test_a_delivered_message_is_whole(desk: Desk, sink: MailSink) -> None:
    await desk.deliver()

    message = sink.mailbox[0].message
    assert message.defects == []
    number = message["Subject"].split()[1]
    assert message["Subject"] == f"Invoice {number} for Institute of Physics, October 2026"
    assert (message["From"], message["To"]) == ("billing@localhost", "accounts@example.com")
    assert message["Date"].datetime.isoformat() == "2026-11-02T12:00:00+00:00"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/mixed"
    for kind in ("plain", "html"):
        assert "€12.00" in body(message, kind)
        assert "Dec 1, 2026" in body(message, kind)
    (attachment,) = message.iter_attachments()
    assert attachment.get_content_type() == "text/html"
    assert attachment.get_filename() == f"invoice-{number}.html"
    assert "€12.00" in document(message)


async def test_names_in_other_scripts_arrive(
    desk: Desk, make: Factories, sink: MailSink, customer: Row
) -> None:
    names = {"name": "株式会社 Ørsted 🚀", "email": "søren@bücher.example"}
    await desk.set(recipient=names["email"])
    await desk.connection.execute(
        update(Customer).where(Customer.id == customer.id).values(name=names["name"])
    )
    await desk.deliver()
    (received,) = sink.mailbox
    assert received.recipients == ["søren@xn--bcher-kva.example"]
    assert "株式会社 Ørsted 🚀" in received.message["Subject"]
    assert "株式会社 Ørsted 🚀" in document(received.message)


async def test_items_stand_in_the_order_of_the_api(
    database: Database, make: Factories, customer: Row
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    project = await make.project(customer, name="Shown")
    await make.item(invoice, "1", name="b", project_name="zebra")
    await make.item(invoice, "1", name="a", project_name="Éclair")
    await make.item(invoice, "1", name="ä", project_name="Zoo")
    await make.item(invoice, "1", name="Z", project_name="Zoo")
    await make.item(invoice, "0", name="nothing", project_name="Zoo")
    await make.item(invoice, "1", name="own", project_id=project.id)
    await make.item(invoice, "1", name="none")

    read = await invoices.read(database, invoice.id)

    assert [(line.project, line.name) for line in read.lines] == [
        ("N/A", "none"),
        ("Shown", "own"),
        ("Zoo", "Z"),
        ("Zoo", "ä"),
        ("zebra", "b"),
        ("Éclair", "a"),
    ]
    assert [section.project for section in read.sections] == [
        *("N/A", "Shown", "Zoo", "zebra", "Éclair")
    ]
    assert not read.summed_up


async def test_units_are_told_in_words(database: Database, make: Factories, customer: Row) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    for unit in BillingUnit:
        await make.item(invoice, unit=unit)
    await make.item(invoice, unit=BillingUnit.QUANTITY, measured_unit="GB-hours")
    read = await invoices.read(database, invoice.id)
    assert [line.unit for line in read.lines] == [
        *("month", "quarter", "half month", "day", "hour", "", "GB-hours")
    ]


async def test_an_invoice_of_too_many_items_is_summed_up(
    database: Database, make: Factories, customer: Row, settings: Settings
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    offerings = [await make.offering(name=name) for name in ("Storage", "Compute")]
    project = await make.project(customer, name="P")
    resource = await make.resource(project, offerings[1])
    for name in ("A", "B"):
        for offering in offerings:
            for _ in range(3):
                await make.item(invoice, "2", project_name=name, offering_id=offering.id)
    # The resource's offering counts, not the item's own.
    await make.item(
        invoice, "5", project_name="A", offering_id=offerings[0].id, resource_id=resource.id
    )
    await make.item(invoice, "1", project_name="A")

    assert not (await invoices.read(database, invoice.id, listed_items=14)).summed_up
    read = await invoices.read(database, invoice.id, listed_items=13)

    assert [(line.project, line.name, line.items, line.price) for line in read.lines] == [
        ("A", "Other services", 1, Decimal(1)),
        ("A", "Compute", 4, Decimal(11)),
        ("A", "Storage", 3, Decimal(6)),
        ("B", "Compute", 3, Decimal(6)),
        ("B", "Storage", 3, Decimal(6)),
    ]
    page = document(compose(settings, read))
    assert "This invoice has 14 items, too many to list here." in page


async def test_a_summary_has_an_end_too(
    database: Database, make: Factories, customer: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoices, "SUMMED_LINES", 2)
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    for number in range(5):
        await make.item(invoice, str(number + 1), project_name=f"P{number}")
    read = await invoices.read(database, invoice.id, listed_items=4)
    assert [(line.project, line.price, line.items) for line in read.lines] == [
        ("P0", Decimal(1), 1),
        ("P1", Decimal(2), 1),
        ("Further projects", Decimal(12), 3),
    ]


@pytest.mark.slow
async def test_the_largest_invoice_makes_a_message_that_servers_take(
    database: Database, make: Factories, customer: Row, settings: Settings
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    row = {
        "invoice_id": invoice.id,
        "name": "Virtual machine of a common length of name / worker 12345 / CPU",
        "unit_price": Decimal("0.0125"),
        "quantity": Decimal("744"),
        "unit": BillingUnit.HOUR,
        "start": Period(2026, 10).start,
        "end": Period(2026, 10).end,
        "project_name": "Climate",
    }
    async with database.transaction() as connection:
        await connection.execute(insert(InvoiceItem), [row] * invoices.LISTED_ITEMS)
    listed = await invoices.read(database, invoice.id)
    assert len(listed.lines) == invoices.LISTED_ITEMS
    assert 1_000_000 < len(compose(settings, listed).as_bytes()) < 4_000_000
