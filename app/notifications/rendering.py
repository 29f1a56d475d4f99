"""Renders the e-mail of a delivery: its texts, from templates, and its files."""

from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from uuid import uuid4

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app import clock
from app.deliveries.recipients import distinct_recipients
from app.documents.document import FrozenDocument
from app.documents.formats import shorten, to_one_line
from app.documents.texts import choose_texts
from app.mailbox import Mailbox
from app.notifications.attachments import Attachment
from app.notifications.mail_texts import MailTexts
from app.notifications.outgoing import OutgoingMail
from app.settings import Settings

_templates = Environment(
    loader=PackageLoader("app.notifications"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["shorten"] = shorten
_templates.filters["to_one_line"] = to_one_line


def compose_message(
    settings: Settings,
    document: FrozenDocument,
    attachments: Sequence[Attachment] = (),
    *,
    recipient: str,
    message_id: str,
) -> OutgoingMail:
    """Return the notification of an invoice or a credit note, with the files of its document.

    Raises InvalidAddress if the recipient is not an e-mail address.
    """
    texts = choose_texts(document.language, settings.locale)
    mail = MailTexts(document, texts, is_attached=bool(attachments))
    message = new_message(settings, mail.subject, recipient=recipient, message_id=message_id)
    message.set_content(_render("email.txt", mail), cte="quoted-printable")
    message.add_alternative(_render("email.html", mail), subtype="html", cte="quoted-printable")
    if attachments:
        message.make_mixed(boundary=f"=_{uuid4().hex}")
    return OutgoingMail(message, [attachment.part for attachment in attachments])


def _render(template: str, mail: MailTexts) -> str:
    return _templates.get_template(template).render(mail=mail)


def new_message(
    settings: Settings, subject: str, *, recipient: str, message_id: str
) -> EmailMessage:
    """Return a message of the service without content.

    Raises InvalidAddress if the recipient is not an e-mail address.
    """
    message = EmailMessage()
    message["From"] = Mailbox.parse(settings.mail_from).for_header
    message["To"] = Mailbox.parse(recipient).for_header
    reply_to = _reply_to(settings)
    if reply_to:
        message["Reply-To"] = reply_to
    message["Subject"] = subject
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    return message


def _reply_to(settings: Settings) -> list[Address]:
    """Return the issuer's valid addresses, which receive replies."""
    recipients = distinct_recipients([settings.issuer_details.email])
    return [Mailbox.parse(each.address).for_header for each in recipients if not each.problem]
