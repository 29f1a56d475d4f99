"""An example invoice, and the parts of a message."""

from dataclasses import fields as dataclass_fields
from datetime import date
from decimal import Decimal
from email.message import EmailMessage
from io import BytesIO
from typing import Any
from uuid import UUID

from pypdf import PdfReader

from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.documents.document import DocumentKind, FrozenDocument, Party
from app.documents.printed_lines import InvoiceLine
from app.notifications import rendering
from app.notifications.invoice_view import CustomerDetails, InvoiceView
from app.settings import Settings

EUR = get_currency("EUR")


def compose(settings: Settings, invoice: InvoiceView) -> EmailMessage:
    """Compose the message to some recipient."""
    return compose_for(settings, freeze(settings, invoice))


def compose_for(settings: Settings, frozen: FrozenDocument) -> EmailMessage:
    """Compose the message of a frozen document to some recipient."""
    return rendering.compose_message(
        settings, frozen, recipient="ada@example.com", message_id="<1@billing.example>"
    )


def freeze(settings: Settings, invoice: InvoiceView) -> FrozenDocument:
    """Return the frozen document of an invoice."""
    return FrozenDocument(
        kind=DocumentKind.INVOICE,
        uuid=UUID(int=invoice.number),
        number=invoice.number,
        issue_date=invoice.invoice_date or date(2026, 11, 1),
        due_date=invoice.due_date,
        year=invoice.period.year,
        month=invoice.period.month,
        period_start=invoice.period.first_day,
        period_end=invoice.period.last_day,
        currency=settings.currency.code,
        tax_percent=invoice.tax_percent,
        payment_url=invoice.payment_url,
        reference_number=invoice.reference_number,
        net=invoice.price,
        gross=invoice.total,
        compensations=invoice.compensations,
        provider_tax=invoice.provider_tax,
        items=invoice.items,
        seller=Party(
            name=settings.issuer_details.name,
            email=settings.issuer_details.email,
            bank_name=settings.issuer_details.bank_name,
            bank_account=settings.issuer_details.bank_account,
        ),
        buyer=Party(**{name: getattr(invoice.customer, name) for name in _CUSTOMER}),
    )


_CUSTOMER = [field.name for field in dataclass_fields(CustomerDetails)]


def body(message: EmailMessage, kind: str) -> str:
    """Return the text of a message, `plain` or `html`."""
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content


def document(settings: Settings, invoice: InvoiceView) -> str:
    """Return the HTML document of an invoice."""
    return rendering.InvoiceRenderer(settings, invoice).document()


def attached_text(message: EmailMessage) -> str:
    """Return the text of the attached PDF, with single spaces."""
    attachment = next(message.iter_attachments())
    assert attachment.get_content_type() == "application/pdf"
    reader = PdfReader(BytesIO(attachment.get_content()))
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def statement(**changes: Any) -> InvoiceView:
    """Return an invoice of one item: 1,234.50 and 20 % of tax."""
    line = InvoiceLine(
        project="Climate",
        name="Virtual machine",
        price=Decimal("1234.50"),
        tax_percent=Decimal(20),
        currency=EUR,
        quantity=Decimal("0.5000000000"),
        unit="month",
        unit_price=Decimal("2469.0000000000"),
        start=date(2026, 10, 1),
        end=date(2026, 10, 31),
    )
    values: dict[str, Any] = {
        "number": 100112,
        "state": InvoiceState.CREATED,
        "period": Period(2026, 10),
        "invoice_date": date(2026, 11, 1),
        "due_date": date(2026, 12, 1),
        "payment_url": "https://pay.example/100112?a=1&b=2",
        "reference_number": "RF18 5390",
        "tax_percent": Decimal(20),
        "price": Decimal("1234.50"),
        "total": Decimal("1481.40"),
        "compensations": Decimal(0),
        "provider_tax": None,
        "items": 1,
        "hidden_items": 0,
        "hidden_cost": Decimal(0),
        "issuer": None,
        "customer": CustomerDetails("Institute", "Street 1", "10115", "EE", "", "", "EE999"),
        "lines": [line],
        "summed_up": False,
    }
    return InvoiceView(**{**values, **changes})


def fields(line: InvoiceLine) -> dict[str, Any]:
    """Return a line's values by name."""
    return {name: getattr(line, name) for name in InvoiceLine.__slots__}
