"""An example invoice, and the parts of a message."""

from datetime import date
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from io import BytesIO
from typing import Any

from pypdf import PdfReader

from app.documents.document import FrozenDocument, Party
from app.notifications import rendering
from app.settings import Settings
from tests.support.documents import make_document


def compose(settings: Settings, document: FrozenDocument) -> EmailMessage:
    """Compose the message of a document to some recipient."""
    mail = rendering.compose_message(
        settings, document, recipient="ada@example.com", message_id="<1@billing.example>"
    )
    content = mail.as_bytes(utf8=False).replace(b"\r\n", b"\n")
    parsed = message_from_bytes(content, policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def body(message: EmailMessage, kind: str) -> str:
    """Return the text of a message, `plain` or `html`."""
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content


def attached_text(message: EmailMessage) -> str:
    """Return the text of the attached PDF, with single spaces."""
    attachment = next(message.iter_attachments())
    assert attachment.get_content_type() == "application/pdf"
    reader = PdfReader(BytesIO(attachment.get_content()))
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def statement(**changes: Any) -> FrozenDocument:
    """Return an invoice of 1,234.50 and 20 % of tax."""
    values: dict[str, Any] = {
        "number": 100112,
        "issue_date": date(2026, 11, 1),
        "due_date": date(2026, 12, 1),
        "payment_url": "https://pay.example/100112?a=1&b=2",
        "reference_number": "RF18 5390",
        "tax_percent": Decimal(20),
        "net": Decimal("1234.50"),
        "gross": Decimal("1481.40"),
        "items": 1,
        "seller": Party(),
        "buyer": Party(name="Institute"),
    }
    return make_document(**values | changes)
