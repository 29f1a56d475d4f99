"""A database with many oddities, for what must come through an export and an import whole."""

import hashlib
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import BillingType, BillingUnit, DeliveryState, InvoiceState
from app.billing.periods import Period
from app.deliveries.models import Delivery
from app.invoices.models import Invoice, InvoiceItem
from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.incoming import IncomingProof
from tests.support.factories import Factories, Row, UserRow

ODD_TEXT = 'Öde "Quelle" \\ \u2028 \U0001f4b6\r\n\t{}<script>'
DETAILS = (
    '{"b": 1.10, "a": 12345678901234567890.1234567890, "": [null, true, {"x": 1e-7}],'
    ' "text": "\\u2028 \\"quoted\\" \\\\u0000", "whole": 1E+5,'
    ' "big": 123456789012345678901234567890}'
)


async def fill(connection: AsyncConnection, store: FolderStore) -> UserRow:
    """Make at least one row of every kind; returns a user who sees everything."""
    make = Factories(connection)
    # The keys of rows differ after an import unless these gaps are of no matter.
    for table in ("customers", "invoices", "invoice_items", "projects"):
        await connection.execute(text(f"ALTER TABLE {table} ALTER id RESTART WITH 5000"))
    staff = await make.staff()
    seller = await make.customer(name=ODD_TEXT[:20], source="focus")
    await make.service_provider(seller)
    buyer = await make.customer(
        name="Käufer", country="", default_tax_percent=Decimal("999.99"), archived=True
    )
    await make.organization_group(buyer, seller, name=ODD_TEXT)
    owner = await make.owner(buyer, full_name=ODD_TEXT, is_active=False)
    await make.role(owner, seller, role="reader", is_active=False, expires_at=datetime.now(UTC))
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    await make.role(owner, buyer, created_at=first, expires_at=last)
    await make.token(owner, "old", revoked_at=datetime.now(UTC), expires_at=datetime.now(UTC))
    for network in ("10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", None):
        await make.subnet(buyer, network)
    offering = await make.offering(seller, type="OpenStack")
    lonely = await make.offering()
    component = await make.component(offering, billing_type=BillingType.USAGE)
    plan = await make.plan(offering, unit_price=Decimal("0.0000000001"))
    priced = await make.plan_component(plan, component, price=Decimal("999999999999.9999999999"))
    gone = await make.plan_component(plan, None)
    project = await make.project(buyer, name=ODD_TEXT, is_removed=True)
    resource = await make.resource(project, offering, plan_id=plan.id)
    await make.project_role(owner, project, is_active=False)
    credit = await make.credit(buyer, value="5.00001", end_date=date.max)
    share = await make.project_credit(project, value="99999999999.99999")
    await make.credit_transaction(
        customer_uuid=buyer.uuid,
        project_credit_uuid=share.uuid,
        project_uuid=project.uuid,
        project_name=ODD_TEXT,
        amount=Decimal("-99999999999.99999"),
        comment=ODD_TEXT,
        billing_period=date.min,
        invoice_uuid=uuid4(),
    )
    await make.credit_transaction()
    affiliate = await make.affiliate(
        buyer, seller, fee_percent=Decimal("0.00001"), end_date=date.max
    )
    for each in (lonely, offering):
        await make.credit_offering(credit, each)
    states = [*InvoiceState]
    for month in range(1, 13):
        invoice = await make.invoice(
            buyer if month % 3 else seller,
            Period(2026, month),
            state=states[month % 4],
            backend_id=ODD_TEXT,
            source="waldur" if month % 2 else None,
            tax_percent=Decimal(month),
        )
        for number, unit in enumerate(BillingUnit):
            item = await make.item(
                invoice,
                f"{number - 1}.005{month}",
                name=f"{ODD_TEXT} {unit}",
                unit=unit,
                quantity=Decimal("1.5000000001"),
                project_id=project.id if number % 2 else None,
                project_name="" if number % 3 else "Other",
                project_uuid=project.uuid if number else None,
                resource_id=resource.id if number > 2 else None,
                offering_id=lonely.id if number < 2 else None,
                plan_component_id=(priced if number == 4 else gone).id if number > 3 else None,
                credit=number == 0,
                customer_credit_id=credit.id if number == 0 else None,
                end=datetime(2026, month, 28, 23, 59, 59, 999999, tzinfo=UTC),
            )
        if states[month % 4] is InvoiceState.CREATED:
            await _credit(make, invoice, item)
    await connection.execute(
        text("UPDATE invoice_items SET details = CAST(:d AS jsonb)"), {"d": DETAILS}
    )
    await connection.execute(
        update(Invoice).where(Invoice.month == 5).values(imported_revision=Invoice.revision)
    )
    await connection.execute(
        update(InvoiceItem).where(InvoiceItem.unit == "day").values(name="moved")
    )
    await connection.execute(
        update(Invoice).where(Invoice.month == 5).values(imported_revision=Invoice.revision)
    )
    await make.fee_accrual(affiliate, invoice, amount=Decimal("0.00001"))
    profile = await make.profile(buyer, attributes={"contract": 7})
    await make.profile(buyer, is_active=False)
    await make.payment(profile, invoice_id=invoice.id)
    content = b"%PDF-1.7\n" + bytes(range(256)) * 2000
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin("Beleg ü.pdf")
        await incoming.write(content)
        proof = await incoming.finish()
    assert proof.sha256 == hashlib.sha256(content).hexdigest()
    await make.payment(
        profile,
        sum=Decimal("99999999999999999999.99"),
        proof_key=proof.key,
        proof_name=proof.name,
        proof_media_type=proof.media_type,
        proof_size=proof.size,
        proof_sha256=proof.sha256,
    )
    await connection.execute(
        insert(Delivery).values(
            invoice_id=invoice.id,
            recipient="a@example.com",
            state=DeliveryState.SENT,
            attempts=2,
            message_id="<1@example.com>",
            created_at=datetime.now(UTC),
            sent_at=datetime.now(UTC),
        )
    )
    return staff


async def _credit(make: Factories, invoice: Row, item: Row) -> None:
    """Make a credit note of a cent."""
    note = await make.credit_note(
        invoice, gross=Decimal("0.01"), content={"a": "0.10", "ä": [None]}, reason="\u20ac"
    )
    line = {"uuid": str(item.uuid), "taken": "0.01", "price": "0.01"}
    await make.credit_note_lines(note, {"1": line})
