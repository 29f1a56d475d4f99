"""Composes the e-mail of a delivery."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from app import clock
from app.deliveries.recipients import distinct_recipients
from app.mailbox import Mailbox
from app.notifications.invoice_view import InvoiceView
from app.notifications.rendering import InvoiceRenderer
from app.settings import Settings


def compose_message(
    settings: Settings, invoice: InvoiceView, *, recipient: str, message_id: str
) -> EmailMessage:
    """Return the notification of an invoice, with the invoice attached as an HTML document.

    Raises InvalidAddress if the recipient is not an e-mail address.
    """
    renderer = InvoiceRenderer(settings, invoice)
    message = EmailMessage()
    message["From"] = Mailbox.parse(settings.mail_from).for_header
    message["To"] = Mailbox.parse(recipient).for_header
    reply_to = _reply_to(settings)
    if reply_to:
        message["Reply-To"] = reply_to
    message["Subject"] = renderer.subject()
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(renderer.text(), cte="quoted-printable")
    message.add_alternative(renderer.html(), subtype="html", cte="quoted-printable")
    message.add_attachment(
        renderer.document().encode(),
        maintype="text",
        subtype="html",
        params={"charset": "utf-8"},
        filename=f"invoice-{invoice.number}.html",
    )
    return message


def _reply_to(settings: Settings) -> list[Address]:
    """Return the issuer's valid addresses, which receive replies."""
    recipients = distinct_recipients([settings.issuer_details.email])
    return [Mailbox.parse(each.address).for_header for each in recipients if not each.problem]
