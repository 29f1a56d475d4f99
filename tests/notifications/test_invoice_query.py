"""The invoice as its customer sees it, read from the database and delivered."""

import tracemalloc
from decimal import Decimal

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import BillingUnit, InvoiceState
from app.customers.models import Customer
from app.database.engine import Database
from app.documents.formats import MAX_TEXT_LENGTH, shorten
from app.documents.printed_lines import LineResource
from app.notifications import invoice_query
from app.settings import Settings
from tests.notifications.conftest import Desk
from tests.notifications.examples import EUR, attached_text, body, document
from tests.support.factories import Factories, Row
from tests.support.smtp import MailServer


async def test_a_delivered_message_is_whole(desk: Desk, sink: MailServer) -> None:
    await desk.send_delivery()

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
    assert attachment.get_filename() == f"invoice-{number}.pdf"
    assert "€12.00" in attached_text(message)


async def test_non_ascii_names_are_delivered(
    desk: Desk, make: Factories, sink: MailServer, customer: Row
) -> None:
    names = {"name": "株式会社 Ørsted 🚀", "email": "søren@bücher.example"}
    await desk.set(recipient=names["email"])
    await desk.connection.execute(
        update(Customer).where(Customer.id == customer.id).values(name=names["name"])
    )
    await desk.send_delivery()
    (received,) = sink.mailbox
    assert received.recipients == ["søren@xn--bcher-kva.example"]
    assert "株式会社 Ørsted 🚀" in received.message["Subject"]
    assert "株式会社 Ørsted □" in attached_text(received.message)


async def test_items_are_ordered_by_project_and_name_with_no_project_last(
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

    read = await invoice_query.read_invoice_view(database, invoice.id, EUR)

    assert [(line.project, line.name) for line in read.lines] == [
        ("Shown", "own"),
        ("Zoo", "Z"),
        ("Zoo", "ä"),
        ("zebra", "b"),
        ("Éclair", "a"),
        (None, "none"),
    ]
    assert [section.project for section in read.sections] == [
        *("Shown", "Zoo", "zebra", "Éclair", None)
    ]
    assert not read.summed_up


async def test_lines_have_their_resource(
    database: Database, make: Factories, customer: Row
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    project = await make.project(customer)
    resource = await make.resource(project, await make.offering(), name="web-1")
    details = {"resource_name": "gone", "resource_uuid": "8d1c"}
    await make.item(invoice, resource_id=resource.id, details=details)
    await make.item(invoice, details=details)
    await make.item(invoice)
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR)
    assert [line.resource for line in read.lines] == [
        LineResource(str(resource.uuid), "web-1"),
        LineResource("8d1c", "gone"),
        None,
    ]


async def test_names_are_truncated_in_the_query(
    database: Database, make: Factories, customer: Row
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    name = "x" * 1000
    details = {"resource_name": name}
    await make.item(invoice, name=name, project_name=name, measured_unit=name, details=details)
    (line,) = (await invoice_query.read_invoice_view(database, invoice.id, EUR)).lines
    assert line.resource is not None
    texts = (line.name, line.project, line.unit, line.resource.name)
    assert {shorten(text or "") for text in texts} == {shorten(name)}
    assert {len(text or "") for text in texts} == {MAX_TEXT_LENGTH + 1}


async def test_a_summary_of_many_names_takes_little_memory(
    database: Database, make: Factories, customer: Row, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(invoice, "-1", credit=True)
    await connection.execute(_COPIES, {"number": 20_000})
    await invoice_query.read_invoice_view(database, invoice.id, EUR)
    tracemalloc.start()
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(read.lines), sum(line.items for line in read.lines)) == (
        invoice_query.MAX_SUMMARY_LINES + 1,
        20_001,
    )
    assert peak < 3_000_000


_COPIES = text("""
INSERT INTO invoice_items
    (uuid, invoice_id, name, unit_price, quantity, unit, start, "end", credit)
SELECT
    gen_random_uuid(), invoice_id, 'Outage ' || n, unit_price, quantity, unit, start, "end", credit
FROM invoice_items, generate_series(1, :number) AS n
""")


async def test_hidden_items_are_counted_apart(
    database: Database, make: Factories, customer: Row
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(invoice, "1")
    for quantity in (0, 1, 2):
        await make.item(invoice, "0", quantity=Decimal(quantity))
    for _ in range(3):
        await make.item(invoice, "0.0012", quantity=Decimal(2), price=Decimal(0))
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR)
    assert (read.items, read.hidden_items, read.hidden_cost) == (1, 6, Decimal("0.0072"))


async def test_provider_tax_is_recognised_by_its_charge_category(
    database: Database, make: Factories, customer: Row
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED, tax_percent=Decimal(0))
    await make.item(invoice, "100", details={"charge_category": "Usage"})
    await make.item(invoice, "1", details={"charge_category": None})
    assert (await invoice_query.read_invoice_view(database, invoice.id, EUR)).provider_tax is None
    await make.item(invoice, "19", details={"charge_category": "Tax"})
    await make.item(invoice, "-2", details={"charge_category": "TAX"})
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR)
    assert [line.is_provider_tax for line in read.lines] == [False, False, True, True]
    assert (read.provider_tax, read.charges) == (Decimal(17), Decimal(101))


async def test_provider_tax_has_its_own_line_in_a_summary(
    database: Database, make: Factories, customer: Row, settings: Settings
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED, tax_percent=Decimal(0))
    offering = await make.offering(name="Compute")
    for price, category in (("10", "Usage"), ("20", "Usage"), ("3", "Tax"), ("4", "tax")):
        details = {"charge_category": category}
        await make.item(invoice, price, offering_id=offering.id, details=details)
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR, listed_items=2)
    assert [(line.name, int(line.price), line.is_provider_tax) for line in read.lines] == [
        ("Compute", 30, False),
        ("Compute", 7, True),
    ]
    page = document(settings, read)
    assert 'Compute<div class="when">Tax charged by the provider</div>' in page
    assert "without tax" not in page


async def test_a_credit_keeps_its_name_in_a_summary(
    database: Database, make: Factories, customer: Row, settings: Settings
) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    offering = await make.offering(name="Compute")
    for _ in range(3):
        await make.item(invoice, "10", offering_id=offering.id, project_name="A")
    for name in ("Outage of May", "Outage of May", "Goodwill"):
        await make.item(
            invoice, "-2", name=name, credit=True, offering_id=offering.id, project_name="A"
        )
    await make.item(invoice, "-1", name="Welcome", credit=True)
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR, listed_items=5)
    assert [
        (line.project, line.name, line.credit, int(line.price), line.items) for line in read.lines
    ] == [
        ("A", "Compute", False, 30, 3),
        ("A", "Goodwill", True, -2, 1),
        ("A", "Outage of May", True, -4, 2),
        (None, "Welcome", True, -1, 1),
    ]
    page = document(settings, read)
    assert 'Outage of May<div class="credit">Compensation</div>' in page
    assert "They are summed up by project and service, compensations by their name." in page


async def test_units_are_words(database: Database, make: Factories, customer: Row) -> None:
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    for unit in BillingUnit:
        await make.item(invoice, unit=unit)
    await make.item(invoice, unit=BillingUnit.QUANTITY, measured_unit="GB-hours")
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR)
    assert [line.unit for line in read.lines] == [
        *("month", "quarter", "half month", "day", "hour", "", "GB-hours")
    ]


async def test_too_many_items_are_summed_up(
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

    assert not (
        await invoice_query.read_invoice_view(database, invoice.id, EUR, listed_items=14)
    ).summed_up
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR, listed_items=13)

    assert [(line.project, line.name, line.items, line.price) for line in read.lines] == [
        ("A", "Other services", 1, Decimal(1)),
        ("A", "Compute", 4, Decimal(11)),
        ("A", "Storage", 3, Decimal(6)),
        ("B", "Compute", 3, Decimal(6)),
        ("B", "Storage", 3, Decimal(6)),
    ]
    page = document(settings, read)
    assert "This invoice has 14 items, too many to list here." in page


async def test_a_summary_has_a_maximum_of_lines(
    database: Database, make: Factories, customer: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoice_query, "MAX_SUMMARY_LINES", 2)
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    for number in range(5):
        await make.item(invoice, str(number + 1), project_name=f"P{number}")
    for number in range(3):
        await make.item(invoice, "-1", name=f"C{number}", credit=True)
    await make.item(invoice, "2", details={"charge_category": "Tax"})
    read = await invoice_query.read_invoice_view(database, invoice.id, EUR, listed_items=4)
    assert [(line.project, line.name, int(line.price), line.items) for line in read.lines] == [
        ("P0", "Other services", 1, 1),
        ("P1", "Other services", 2, 1),
        ("Further items", "Services", 12, 3),
        ("Further items", "Taxes", 2, 1),
        ("Further items", "Compensations", -3, 3),
    ]
    assert [line.credit for line in read.lines] == [False, False, False, False, True]
    assert [line.is_provider_tax for line in read.lines] == [False, False, False, True, False]


@pytest.mark.slow
@pytest.mark.parametrize("listed", [0, 10])
async def test_an_issued_invoice_is_mailed_as_it_was_frozen(
    make: Factories,
    connection: AsyncConnection,
    database: Database,
    settings: Settings,
    listed: int,
) -> None:
    customer = await make.customer(name="Buyer")
    offering = await make.offering(await make.customer(), name="Cloud")
    resource = await make.resource(
        await make.project(customer, name="Physics"), offering, name="vm-1"
    )
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(invoice, "5", resource_id=resource.id)
    await make.item(invoice, "-1", credit=True, resource_id=resource.id)
    await make.freeze(settings, invoice)
    before = await invoice_query.read_invoice_view(
        database, invoice.id, settings.currency, listed_items=listed
    )
    for table in ("customers", "projects", "resources", "offerings"):
        await connection.execute(text(f"UPDATE {table} SET name = 'X'"))
    await connection.commit()
    after = await invoice_query.read_invoice_view(
        database, invoice.id, settings.currency, listed_items=listed
    )
    assert after == before
    assert after.customer.name == "Buyer"
