"""The texts of a notification and the attached document, from templates."""

from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app.notifications.formats import Formats, one_line, shortened
from app.notifications.statement import Line, Statement
from app.settings import IssuerDetails, Settings

_templates = Environment(
    loader=PackageLoader("app.notifications"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["short"] = shortened
_templates.filters["line"] = one_line


class Rendering:
    """Renders one invoice in the deployment's locale and currency."""

    def __init__(self, settings: Settings, invoice: Statement) -> None:
        self.invoice = invoice
        self.formats = Formats(settings.locale, settings.currency)
        self.issuer: IssuerDetails = settings.issuer_details

    def subject(self) -> str:
        """Name the invoice, its customer and its month in one line."""
        month = self.formats.month(self.invoice.period)
        return one_line(f"Invoice {self.invoice.number} for {self.invoice.customer.name}, {month}")

    def text(self) -> str:
        """Render the message as plain text."""
        return self._render("email.txt", facts=self._facts())

    def html(self) -> str:
        """Render the message as HTML."""
        return self._render("email.html", facts=self._facts(), subject=self.subject())

    def document(self) -> str:
        """Render the invoice as an HTML document of its own, made for A4."""
        return self._render(
            "document.html",
            columns=5 if self.invoice.summed_up else 7,
            payment_details=self._payment_details(),
            whole_period=self._whole_period,
        )

    def _render(self, template: str, **values: object) -> str:
        return _templates.get_template(template).render(
            formats=self.formats,
            invoice=self.invoice,
            issuer=self.issuer,
            payment_link=self._payment_link(),
            **values,
        )

    def _payment_link(self) -> str:
        url = self.invoice.payment_url
        # An imported invoice may have any text there; javascript: must not become a link.
        return url if urlsplit(url).scheme in ("http", "https") else ""

    def _payment_details(self) -> list[tuple[str, str]]:
        details = [
            ("Amount", self.formats.money(self.invoice.total)),
            ("Reference", self.invoice.reference_number or f"Invoice {self.invoice.number}"),
            ("Bank", self.issuer.bank_name),
            ("Account", self.issuer.bank_account),
            ("Pay online", self.invoice.payment_url),
        ]
        return [(label, value) for label, value in details if value]

    def _facts(self) -> list[tuple[str, str]]:
        facts = [
            ("Customer", self.invoice.customer.name),
            ("Invoice date", self.formats.day(self.invoice.invoice_date)),
            ("Total without tax", self.formats.money(self.invoice.price)),
            (
                f"Tax, {self.formats.percent(self.invoice.tax_percent)}",
                self.formats.money(self.invoice.tax),
            ),
            ("Reference", self.invoice.reference_number),
            ("Bank", self.issuer.bank_name),
            ("Account", self.issuer.bank_account),
        ]
        return [(label, value) for label, value in facts if value]

    def _whole_period(self, line: Line) -> bool:
        period = self.invoice.period
        return line.start == period.first_day and line.end == period.last_day
