"""The content of a printed document, as JSON for its template: texts, formatted."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from app.billing.bank_accounts import in_groups_of_four, parse_creditor_reference, parse_iban
from app.billing.currencies import get_currency
from app.billing.periods import Period
from app.documents.document import DocumentKind, FrozenDocument, Party
from app.documents.formats import Formats, to_one_line
from app.documents.pdf.characters import make_printable
from app.documents.pdf.payment_codes import epc_code, payment_reference, swiss_qr_bill
from app.documents.pdf.table import Json, build_table
from app.documents.printed_lines import InvoiceLine, is_summed_up
from app.documents.printed_sums import (
    asks_for_payment,
    has_tax_columns,
    print_credit,
    print_sums,
)
from app.documents.texts import Texts
from app.urls import is_http_url

_MAX_ADDRESS_LINES: Final = 8


def build_content(document: FrozenDocument, lines: Sequence[InvoiceLine], texts: Texts) -> Json:
    """Return the content of a document with its printed lines, in the language of the texts.

    It has only characters of the fonts.
    """
    content = _Content(document, lines, texts)
    printable: Json = make_printable(content.build())
    return printable | content.date() | content.codes()


def build_page(document: FrozenDocument, lines: Sequence[InvoiceLine], texts: Texts) -> Json:
    """Return the same with every character and without payment codes, for a browser."""
    content = _Content(document, lines, texts)
    return content.build() | {"payment-url": content.payment_url}


class _Content:
    """Builds the content of one document."""

    def __init__(
        self, document: FrozenDocument, lines: Sequence[InvoiceLine], texts: Texts
    ) -> None:
        self.document = document
        self.texts = texts
        self.formats = Formats(texts.locale, get_currency(document.currency))
        self.summed_up = is_summed_up(document)
        self.lines = lines
        self.is_credit_note = document.kind is DocumentKind.CREDIT_NOTE
        self.asks_for_payment = asks_for_payment(document)
        url = document.payment_url.strip()
        self.payment_url = url if self.asks_for_payment and is_http_url(url) else None
        self.has_tax_columns = has_tax_columns(document)

    def build(self) -> Json:
        """Return all texts."""
        document, heading = self.document, self.heading()
        content: Json = {
            "title": heading,
            "author": to_one_line(document.seller.name),
            "language": self.texts.language,
            "heading": heading,
            "footer": heading,
            "issuer": to_one_line(document.seller.name),
            "parties": self.parties(),
            "facts": self.facts(),
            "references": self.references(),
            "notes": self.notes(),
            "sums": self.sums(),
            "total": [self.texts.gettext("Total"), self.formats.money(document.gross)],
            "footnotes": self.footnotes(),
            "remarks": self.remarks(),
            "payment": self.payment(),
        }
        return content | build_table(document, self.lines, self.texts, self.formats)

    def date(self) -> Json:
        """Return the date of the file."""
        day = self.document.issue_date
        return {"date": {"year": day.year, "month": day.month, "day": day.day}}

    def heading(self) -> str:
        """Return the kind and number of the document, its title."""
        _ = self.texts.gettext
        title = _("Credit note {number}") if self.is_credit_note else _("Invoice {number}")
        return title.format(number=self.document.printed_number)

    def parties(self) -> list[Json]:
        """Return the buyer and the seller with their addresses."""
        _ = self.texts.gettext
        document = self.document
        parties = [self._party(_("Billed to"), document.buyer)]
        if document.seller.name or document.seller.address:
            parties.append(self._party(_("From"), document.seller))
        return parties

    def _party(self, label: str, party: Party) -> Json:
        _ = self.texts.gettext
        street = [line for line in map(to_one_line, party.address.splitlines()) if line]
        lines = [
            *street[:_MAX_ADDRESS_LINES],
            f"{party.postal.strip()} {party.city.strip()}",
            self.formats.country(party.country.strip()),
        ]
        numbers = [
            (_("VAT number {number}"), party.vat_code),
            (_("Tax number {number}"), party.tax_number),
            (_("Registration number {number}"), party.registration_code),
        ]
        quiet = [
            party.contact_name,
            party.email,
            party.phone_number,
            *(text.format(number=number) for text, number in numbers if number.strip()),
        ]
        return {
            "label": label,
            "name": to_one_line(party.name),
            "lines": _not_empty(lines),
            "quiet": _not_empty(quiet),
        }

    def facts(self) -> list[Json]:
        """Return the labels and values of the box at the head."""
        _ = self.texts.gettext
        document, formats = self.document, self.formats
        amount = formats.money(abs(document.gross))
        facts = [
            (_("Period"), self.period(), False),
            (_("Date") if self.is_credit_note else _("Invoice date"), self._day(), False),
        ]
        if self.is_credit_note:
            # Below zero it takes back an invoice that was in the buyer's favour.
            label = _("Amount charged") if document.gross < 0 else _("Amount credited")
            facts.append((label, amount, True))
        elif self.asks_for_payment:
            facts += [
                (_("Due date"), formats.day(document.due_date), True),
                (_("Amount due"), amount, True),
            ]
        else:
            label = _("In your favour") if document.gross < 0 else _("Amount due")
            facts += [
                (_("Reference"), to_one_line(document.reference_number), False),
                (label, amount, True),
            ]
        return [
            {"label": label, "value": value, "due": due} for label, value, due in facts if value
        ]

    def period(self) -> str:
        """Return the month, or the days where a line was charged for other months."""
        document = self.document
        month = Period(document.year, document.month)
        days = (document.period_start, document.period_end)
        if days == (month.first_day, month.last_day):
            return self.formats.month(month)
        return " \u2013 ".join(map(self.formats.day, days))

    def _day(self) -> str:
        return self.formats.day(self.document.issue_date)

    def references(self) -> list[list[str]]:
        """Return the labels and values that the buyer needs to assign the document."""
        _ = self.texts.gettext
        document = self.document
        references = [
            (_("Your reference"), document.buyer_reference),
            (_("Order"), document.order_reference),
            (_("Contract"), document.agreement_number),
        ]
        if document.preceding:
            corrected = _("{number} of {date}").format(
                number=document.preceding.number,
                date=self.formats.day(document.preceding.issue_date),
            )
            references = [
                (_("Corrects invoice"), corrected),
                (_("Reason"), document.reason),
                *references,
            ]
        return [[label, to_one_line(value)] for label, value in references if value.strip()]

    def notes(self) -> list[str]:
        """Return the sentences before the table."""
        _ = self.texts.gettext
        if self.summed_up:
            count = self.formats.quantity(Decimal(self.document.items))
            text = _(
                "This document has {count} items, too many to list here."
                " They are summed up by project and service, compensations by their name."
            )
            return [text.format(count=count)]
        return [] if self.lines else [_("Nothing is charged.")]

    def sums(self) -> list[list[str]]:
        """Return the labels and amounts that lead to the total."""
        sums = print_sums(self.document, self.texts, self.formats)
        return [[label, amount] for label, amount in sums]

    def footnotes(self) -> list[str]:
        """Return the notes on currency, rounding and lines that are not listed."""
        _ = self.texts.gettext
        document, formats = self.document, self.formats
        footnotes = [_("All amounts in {currency}.").format(currency=document.currency)]
        if sum((line.tax for line in self.lines), Decimal(0)) != document.tax and (
            self.has_tax_columns
        ):
            footnotes[0] += " " + _(
                "Tax is computed on the whole document;"
                " the taxes of single lines are rounded and may add up differently."
            )
        if document.hidden_items:
            text = self.texts.ngettext(
                "{count} item of {zero} is not listed; without rounding it comes to {sum}.",
                "{count} items of {zero} are not listed; without rounding they come to {sum}.",
                document.hidden_items,
            )
            footnotes.append(
                text.format(
                    count=formats.quantity(Decimal(document.hidden_items)),
                    zero=formats.amount(Decimal(0)),
                    sum=formats.amount(document.hidden_cost),
                )
            )
        return footnotes

    def remarks(self) -> list[str]:
        """Return the reason of a tax exemption and the seller's note."""
        _ = self.texts.gettext
        document = self.document
        reasons = {
            "AE": _("Reverse charge: the recipient of the service owes the tax."),
            "K": _("Tax-free intra-Community supply."),
            "G": _("Tax-free export."),
            "O": _("Not subject to tax."),
        }
        reason = document.tax_exemption_reason.strip()
        standard = reasons.get(document.tax_category, "")
        if not reason and not standard:
            reason = document.tax_exemption_code.strip()
        note = [to_one_line(line) for line in document.note.splitlines()]
        return _not_empty([standard, reason, *note])

    def payment(self) -> Json:
        """Return the box that states how to pay, or that nothing is to be paid."""
        _ = self.texts.gettext
        if self.asks_for_payment:
            details = [
                {"label": label, "value": to_one_line(value), "is-link": value == self.payment_url}
                for label, value in self._payment_details()
                if value.strip()
            ]
            return {"heading": _("Payment"), "sentences": [], "details": details}
        if self.is_credit_note:
            sentence = print_credit(self.document, self.texts)
        elif self.document.gross < 0:
            sentence = _("The total is in your favour. Nothing is to be paid.")
        else:
            sentence = _("Nothing is to be paid.")
        return {"heading": None, "sentences": [sentence], "details": []}

    def _payment_details(self) -> list[tuple[str, str]]:
        _ = self.texts.gettext
        document, seller = self.document, self.document.seller
        reference = payment_reference(document)
        structured = parse_creditor_reference(reference)
        iban = parse_iban(seller.bank_account)
        return [
            (_("Amount"), self.formats.money(document.gross)),
            (_("Reference"), in_groups_of_four(structured) if structured else reference),
            (_("Account holder"), seller.account_holder),
            (_("Bank"), seller.bank_name),
            (_("Account"), in_groups_of_four(iban) if iban else seller.bank_account),
            (_("BIC"), seller.bic),
            (_("Pay online"), document.payment_url.strip()),
        ]

    def codes(self) -> Json:
        """Return the payment codes, and the link to pay online, which stay as they are."""
        _ = self.texts.gettext
        document = self.document
        bill = swiss_qr_bill(document, self.texts.language, self.heading())
        return {
            "payment-url": self.payment_url,
            "payment-code": None if bill else epc_code(document),
            "payment-code-label": _("Scan to pay"),
            "payment-code-description": _("QR code with the data of the payment"),
            "qr-bill": bill,
            "qr-bill-description": _("Swiss QR-bill with the data of the payment"),
        }


def _not_empty(texts: Iterable[str]) -> list[str]:
    return [text for text in map(to_one_line, texts) if text]
