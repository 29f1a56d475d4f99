"""The texts of the mail that brings an issued document, in the document's language."""

from app.billing.currencies import get_currency
from app.billing.periods import Period
from app.documents.document import FrozenDocument, PrecedingInvoice
from app.documents.formats import Formats, to_one_line
from app.documents.printed_sums import asks_for_payment, print_credit, print_sums
from app.documents.texts import Texts
from app.urls import is_http_url


class MailTexts:
    """The texts of one mail. Names in them are in one line and truncated; nothing is escaped."""

    def __init__(self, document: FrozenDocument, texts: Texts, *, is_attached: bool) -> None:
        self._document = document
        self._texts = texts
        self._formats = Formats(texts.locale, get_currency(document.currency))
        self._asks_for_payment = asks_for_payment(document)
        self._customer = to_one_line(document.buyer.name)
        self._month = self._formats.month(Period(document.year, document.month))
        self.language = texts.language
        self.is_attached = is_attached
        self.issuer = to_one_line(document.seller.name)

    @property
    def subject(self) -> str:
        """The document, customer and month in one line, and whether nothing is to pay."""
        _ = self._texts.gettext
        document, names = self._document, {"customer": self._customer, "month": self._month}
        if document.preceding:
            text = _("Credit note {number} on invoice {invoice} for {customer}, {month}")
            subject = text.format(**self._numbers(document.preceding), **names)
        else:
            text = _("Invoice {number} for {customer}, {month}")
            subject = text.format(number=document.number, **names)
            if document.gross < 0:
                subject += ", " + _("in your favour")
            elif not document.gross:
                subject += ", " + _("nothing to pay")
        return to_one_line(subject)

    @property
    def heading(self) -> str:
        """The document and its month."""
        _ = self._texts.gettext
        preceding = self._document.preceding
        if preceding:
            text = _("Credit note {number} on invoice {invoice}")
            return text.format(**self._numbers(preceding))
        text = _("Invoice {number} for {month}")
        return text.format(number=self._document.number, month=self._month)

    def _numbers(self, preceding: PrecedingInvoice) -> dict[str, object]:
        return {"number": self._document.printed_number, "invoice": preceding.number}

    @property
    def amount(self) -> str:
        """The amount to pay, owed or credited."""
        gross = self._document.gross
        return self._formats.money(gross if self._document.preceding else abs(gross))

    @property
    def due_day(self) -> str:
        """The day until which to pay; empty if nothing is to be paid."""
        return self._formats.day(self._document.due_date) if self._asks_for_payment else ""

    @property
    def due_on(self) -> str:
        """The text around the due day, for which `{day}` stands."""
        _ = self._texts.gettext
        return _("Due on {day}")

    @property
    def in_favour(self) -> str:
        """The remark that the amount is in the customer's favour; empty if it is not."""
        _ = self._texts.gettext
        is_owed = not self._document.preceding and self._document.gross < 0
        return _("In your favour.") if is_owed else ""

    @property
    def settlement(self) -> str:
        """The sentence that nothing is to be paid; empty if something is."""
        _ = self._texts.gettext
        if self._asks_for_payment:
            return ""
        if self._document.preceding:
            return print_credit(self._document, self._texts)
        return _("Nothing is to be paid.")

    @property
    def status(self) -> str:
        """The amount and when it is due, or that nothing is to be paid."""
        _ = self._texts.gettext
        if self.due_day:
            return _("{amount}, due on {day}").format(amount=self.amount, day=self.due_day)
        if self.in_favour:
            text = _("{amount} in your favour. Nothing is to be paid.")
            return text.format(amount=self.amount)
        return f"{self.amount}. {self.settlement}" if self.settlement else self.amount

    @property
    def greeting(self) -> str:
        """The salutation; the introduction goes on with it."""
        _ = self._texts.gettext
        return _("Dear customer,")

    @property
    def introduction(self) -> str:
        """The sentence that names the document."""
        _ = self._texts.gettext
        preceding, customer = self._document.preceding, self._customer
        if preceding:
            text = _("the credit note {number} on invoice {invoice} of {customer} has been issued.")
            return text.format(**self._numbers(preceding), customer=customer)
        text = _("the invoice of {customer} for {month} has been issued.")
        return text.format(customer=customer, month=self._month)

    @property
    def attached(self) -> str:
        """The sentence on the file of the document."""
        _ = self._texts.gettext
        return _("You find it attached, ready to print.")

    @property
    def pay_online(self) -> str:
        """The label of the payment link."""
        _ = self._texts.gettext
        return _("Pay online")

    @property
    def payment_link(self) -> str:
        """The link to pay; empty if nothing is to be paid, or for a text that is no link."""
        # Older imports stored any text as URL; javascript: must not become a link.
        url = self._document.payment_url
        return url if self._asks_for_payment and is_http_url(url) else ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The labels and values of the document. The values may have any length and line breaks."""
        _ = self._texts.gettext
        document, seller = self._document, self._document.seller
        day = self._formats.day(document.issue_date)
        facts = [(_("Customer"), document.buyer.name)]
        if document.preceding:
            corrected = _("{number} of {date}").format(
                number=document.preceding.number,
                date=self._formats.day(document.preceding.issue_date),
            )
            facts += [
                (_("Date"), day),
                (_("Corrects invoice"), corrected),
                (_("Reason"), document.reason),
            ]
        else:
            facts.append((_("Invoice date"), day))
        facts += print_sums(document, self._texts, self._formats)
        if not document.preceding:
            facts.append((_("Reference"), document.reference_number))
        if self._asks_for_payment:
            facts += [(_("Bank"), seller.bank_name), (_("Account"), seller.bank_account)]
        return [(label, value) for label, value in facts if value]

    @property
    def footer(self) -> str:
        """The reason why the recipient gets the mail."""
        _ = self._texts.gettext
        text = _("You receive this message for {customer}, as its billing contact.")
        return text.format(customer=self._customer)

    @property
    def questions(self) -> str:
        """The address for questions; empty without one."""
        _ = self._texts.gettext
        email = to_one_line(self._document.seller.email)
        return _("Questions? Write to {email}.").format(email=email) if email else ""
