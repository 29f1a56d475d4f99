"""Renders the e-mail of a delivery: its texts, from templates, and its files."""

from collections.abc import Sequence
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app import clock
from app.deliveries.recipients import distinct_recipients
from app.documents.document import FrozenDocument
from app.documents.formats import Formats, shorten, to_one_line
from app.documents.printed_lines import InvoiceLine
from app.documents.texts import choose_texts
from app.mailbox import Mailbox
from app.notifications.attachments import Attachment
from app.notifications.invoice_view import InvoiceView
from app.notifications.mail_texts import MailTexts
from app.settings import IssuerDetails, Settings
from app.urls import is_http_url

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
) -> EmailMessage:
    """Return the notification of an invoice or a credit note, with the files of its document.

    Raises InvalidAddress if the recipient is not an e-mail address.
    """
    texts = choose_texts(document.language, settings.locale)
    mail = MailTexts(document, texts, is_attached=bool(attachments))
    message = new_message(settings, mail.subject, recipient=recipient, message_id=message_id)
    message.set_content(_render("email.txt", mail), cte="quoted-printable")
    message.add_alternative(_render("email.html", mail), subtype="html", cte="quoted-printable")
    for attachment in attachments:
        maintype, _, subtype = attachment.media_type.partition("/")
        message.add_attachment(
            attachment.content, maintype=maintype, subtype=subtype, filename=attachment.name
        )
    return message


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


class InvoiceRenderer:
    """Renders one invoice in the deployment's locale and currency."""

    def __init__(self, settings: Settings, invoice: InvoiceView) -> None:
        self.invoice = invoice
        self.formats = Formats(settings.locale, settings.currency)
        self.issuer: IssuerDetails = invoice.issuer or settings.issuer_details

    def document(self) -> str:
        """Render the invoice as a self-contained HTML document for A4."""
        description_columns = 2 if self.invoice.summed_up else 4
        return _templates.get_template("document.html").render(
            formats=self.formats,
            invoice=self.invoice,
            issuer=self.issuer,
            payment_link=self._payment_link(),
            columns=description_columns + (3 if self.invoice.has_tax_columns else 1),
            description_columns=description_columns,
            key_facts=self._key_facts(),
            sums=self._sums(),
            payment_details=self._payment_details(),
            charged_days=self._charged_days,
        )

    def _payment_link(self) -> str:
        # Older imports stored any text as URL; javascript: must not become a link.
        url = self.invoice.payment_url
        return url if self.invoice.asks_for_payment and is_http_url(url) else ""

    def _key_facts(self) -> list[tuple[str, str]]:
        """Return the labels and values at the head of the document."""
        invoice = self.invoice
        facts = [
            ("Period", self.formats.month(invoice.period)),
            ("Invoice date", self.formats.day(invoice.invoice_date)),
        ]
        if invoice.asks_for_payment:
            facts.append(("Due date", self.formats.day(invoice.due_date)))
        else:  # there are no payment details, which would contain the reference
            facts.append(("Reference", shorten(invoice.reference_number)))
        if invoice.in_favour:
            facts.append(("In your favour", self.formats.money(invoice.in_favour)))
        else:
            facts.append(("Amount due", self.formats.money(invoice.total)))
        return [(label, value) for label, value in facts if value]

    def _sums(self) -> list[tuple[str, str]]:
        """Return the amounts that lead to the total.

        With tax charged by the provider, no amount is labelled as total without tax.
        """
        invoice = self.invoice
        sums: list[tuple[str, Decimal]] = []
        if invoice.compensations or invoice.provider_tax is not None:
            sums.append(("Charges", invoice.charges))
        if invoice.compensations:
            sums.append(("Compensations", invoice.compensations))
        if invoice.provider_tax is None:
            sums.append(("Total without tax", invoice.price))
        else:
            sums.append(("Tax charged by the provider", invoice.provider_tax))
        if invoice.has_tax_columns:
            sums.append((f"Tax, {self.formats.percent(invoice.tax_percent)}", invoice.tax))
        return [(label, self.formats.money(amount)) for label, amount in sums]

    def _payment_details(self) -> list[tuple[str, str]]:
        if not self.invoice.asks_for_payment:
            return []
        details = [
            ("Amount", self.formats.money(self.invoice.total)),
            ("Reference", self.invoice.reference_number or f"Invoice {self.invoice.number}"),
            *self._account(),
            ("Pay online", self.invoice.payment_url),
        ]
        return [(label, value) for label, value in details if value]

    def _account(self) -> list[tuple[str, str]]:
        """Return the account to pay to; nothing if there is nothing to pay."""
        if not self.invoice.asks_for_payment:
            return []
        return [("Bank", self.issuer.bank_name), ("Account", self.issuer.bank_account)]

    def _charged_days(self, line: InvoiceLine) -> str:
        """Format the days of a line; empty for the whole period."""
        period = self.invoice.period
        if (line.start, line.end) in ((None, None), (period.first_day, period.last_day)):
            return ""
        days = dict.fromkeys((self.formats.day(line.start), self.formats.day(line.end)))
        return " \u2013 ".join(days)
