"""Renders the e-mail of a delivery: its texts, from templates, and its files."""

from collections.abc import Sequence
from email.headerregistry import BaseHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app import clock
from app.deliveries.recipients import distinct_recipients
from app.documents.document import FrozenDocument
from app.documents.formats import shorten, to_one_line
from app.documents.texts import choose_texts
from app.mailbox import Mailbox
from app.notifications.attachments import Attachment
from app.notifications.mail_texts import MailTexts
from app.notifications.outgoing import OutgoingMail, multipart, text_part
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
    texts_part = multipart(
        "alternative",
        [
            text_part("plain", _render("email.txt", mail)),
            text_part("html", _render("email.html", mail)),
        ],
    )
    files = [attachment.part for attachment in attachments]
    return OutgoingMail(message, multipart("mixed", [texts_part, *files]) if files else texts_part)


def _render(template: str, mail: MailTexts) -> str:
    return _templates.get_template(template).render(mail=mail)


def new_message(
    settings: Settings, subject: str, *, recipient: str, message_id: str
) -> EmailMessage:
    """Return a message of the service without content.

    Raises InvalidAddress if the recipient is not an e-mail address.
    """
    message = EmailMessage()
    message["From"] = _sender(settings.mail_from)
    message["To"] = Mailbox.parse(recipient).for_header
    if reply_to := _reply_to(settings.issuer_details.email):
        message["Reply-To"] = reply_to
    message["Subject"] = subject
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    return message


@lru_cache(maxsize=8)
def _sender(mail_from: str) -> BaseHeader:
    """Return the header From, which is parsed once: it is the same in each mail."""
    header: BaseHeader = SMTP.header_factory("From", Mailbox.parse(mail_from).for_header)
    return header


@lru_cache(maxsize=8)
def _reply_to(texts: str) -> BaseHeader | None:
    """Return the header Reply-To with the issuer's valid addresses; None if there is none."""
    recipients = distinct_recipients([texts])
    valid = [Mailbox.parse(each.address).for_header for each in recipients if not each.problem]
    return SMTP.header_factory("Reply-To", valid) if valid else None
