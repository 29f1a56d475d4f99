"""The values of an e-invoice (EN 16931), derived from a frozen document for one profile.

Both syntaxes write these values, and the requirements check them. Texts are without the characters
that XML forbids; an empty text is left out.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from typing import Final

from app.billing.bank_accounts import (
    creditor_reference,
    is_sepa_iban,
    parse_bic,
    parse_iban,
)
from app.billing.currencies import get_currency
from app.billing.money import EXACT, round_half_even
from app.documents.document import DocumentKind, DocumentLine, FrozenDocument, Party
from app.documents.profiles import Profile
from app.documents.unit_codes import ONE, unit_code

_FORBIDDEN_IN_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_EXEMPTIONS: Final = {
    "AE": ("VATEX-EU-AE", "Reverse charge"),
    "K": ("VATEX-EU-IC", ""),
    "G": ("VATEX-EU-G", ""),
    "O": ("VATEX-EU-O", ""),
}
"""The code and the reason of an exemption by its category, where the customer has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeParty:
    """The seller or the buyer."""

    name: str
    vat_code: str
    """In upper case, without spaces and dots. Empty outside VAT, where no number may be written."""
    tax_number: str
    """Of a seller without a VAT number."""
    registration_code: str
    registration_scheme: str
    endpoint: str
    endpoint_scheme: str
    address: tuple[str, str, str]
    """Three lines; the third has the rest of a longer address."""
    city: str
    postal: str
    country: str
    contact_name: str
    phone_number: str
    email: str


@dataclass(frozen=True, slots=True)
class Tax:
    """The one category of tax of a document."""

    category: str
    """A code of UNTDID 5305; empty if it is not known."""
    percent: str
    exemption_code: str = ""
    exemption_reason: str = ""

    @property
    def line_percent(self) -> str:
        """The rate in lines; what is outside VAT has none there (rule BR-O-05)."""
        return "" if self.category == "O" else self.percent


@dataclass(frozen=True, slots=True)
class PaymentMeans:
    """How a document is paid."""

    code: str
    """A code of UNTDID 4461: 58 SEPA transfer, 30 other transfer, 68 online payment."""
    account: str = ""
    is_iban: bool = False
    holder: str = ""
    bic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EInvoice:
    """All values of an e-invoice but its lines."""

    profile: Profile
    number: str
    is_credit_note: bool
    issue_date: date
    due_date: date | None
    """None also where an invoice is in the customer's favour."""
    currency: str
    note: str
    buyer_reference: str
    order_reference: str
    contract: str
    preceding_number: str
    preceding_date: date | None
    period_start: date
    period_end: date
    delivery_date: date
    seller: TradeParty
    buyer: TradeParty
    delivers_to_buyer: bool
    """Whether the address of the buyer is written as that of the delivery, too."""
    means: PaymentMeans | None
    remittance: str
    terms: str
    tax: Tax
    net: Decimal
    tax_amount: Decimal
    gross: Decimal

    def amount(self, value: Decimal) -> str:
        """Write an amount with the decimals of the currency, without an exponent."""
        return f"{round_half_even(value, get_currency(self.currency)):f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EInvoiceLine:
    """A line of an e-invoice. The unit price is never negative: the quantity has the sign."""

    id: str
    name: str
    description: str = ""
    article_code: str = ""
    quantity: str
    unit_code: str
    unit_price: str
    price: Decimal
    start: date | None = None
    end: date | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    """Pairs of a name and a value."""


def derive(document: FrozenDocument, profile: Profile) -> EInvoice:
    """Return the values of a document in a profile, which may still lack required ones."""
    tax = _derive_tax(document)
    is_credit_note = document.kind is DocumentKind.CREDIT_NOTE
    is_favourable = not is_credit_note and document.gross < 0
    preceding = document.preceding
    last_day = calendar.monthrange(document.year, document.month)[1]
    return EInvoice(
        profile=profile,
        number=document.printed_number,
        is_credit_note=is_credit_note,
        issue_date=document.issue_date,
        due_date=None if is_favourable else document.due_date,
        currency=document.currency,
        note="\n".join(filter(None, (clean(document.reason), clean(document.note)))),
        buyer_reference=clean(document.buyer_reference),
        order_reference=clean(document.order_reference),
        contract=clean(document.agreement_number),
        preceding_number=str(preceding.number) if preceding else "",
        preceding_date=preceding.issue_date if preceding else None,
        period_start=document.period_start,
        period_end=document.period_end,
        delivery_date=date(document.year, document.month, last_day),
        seller=_derive_party(document.seller, profile, tax),
        buyer=_derive_party(document.buyer, profile, tax),
        delivers_to_buyer=tax.category == "K",
        means=_derive_means(document),
        remittance=_derive_remittance(document),
        terms=_derive_terms(document),
        tax=tax,
        net=document.net,
        tax_amount=document.tax,
        gross=document.gross,
    )


def derive_line(line: DocumentLine, position: int) -> EInvoiceLine:
    """Return the values of a line that stands at a position, counted from 1."""
    start, end = line.start.astimezone(UTC).date(), line.end.astimezone(UTC).date()
    code, word = unit_code(line.unit, clean(line.measured_unit))
    sign = -1 if line.unit_price < 0 else 1
    offering, plan = clean(line.offering_name), clean(line.plan_name)
    attributes = (
        ("Project", clean(line.project_name)),
        ("Resource", clean(line.resource_name)),
        ("Unit", word),
        ("Kind", "Compensation" if line.credit else ""),
    )
    return EInvoiceLine(
        id=str(position),
        name=clean(line.name) or offering or f"Item {position}",
        description=" / ".join(filter(None, (offering, plan))),
        article_code=clean(line.article_code),
        quantity=digits(sign * line.quantity),
        unit_code=code,
        unit_price=digits(abs(line.unit_price)),
        price=line.price,
        start=start if start <= end else None,
        end=end if start <= end else None,
        attributes=tuple((name, value) for name, value in attributes if value),
    )


def no_charges() -> EInvoiceLine:
    """Return the line of a document without charges, since each document must have one."""
    return EInvoiceLine(
        id="1", name="No charges", quantity="1", unit_code=ONE, unit_price="0", price=Decimal(0)
    )


def clean(text: str | None) -> str:
    """Drop the characters that XML 1.0 forbids, and white space at the ends."""
    return _FORBIDDEN_IN_XML.sub("", text or "").replace("\r\n", "\n").strip()


def digits(number: Decimal) -> str:
    """Write a number without an exponent and without zeros at the end of its decimals."""
    return f"{number.normalize(EXACT):f}" if number else "0"


def _derive_party(party: Party, profile: Profile, tax: Tax) -> TradeParty:
    vat_code = "" if tax.category == "O" else re.sub(r"[\s.]", "", clean(party.vat_code)).upper()
    first, second, *rest = [*filter(None, map(clean, party.address.splitlines())), "", ""]
    endpoint, scheme = clean(party.endpoint), clean(party.endpoint_scheme)
    email = clean(party.email)
    if not (endpoint and scheme):
        endpoint, scheme = (email, "EM") if email and profile.is_xrechnung else ("", "")
    return TradeParty(
        name=clean(party.name),
        vat_code=vat_code,
        tax_number="" if vat_code else clean(party.tax_number),
        registration_code=clean(party.registration_code),
        registration_scheme=clean(party.registration_scheme),
        endpoint=endpoint,
        endpoint_scheme=scheme,
        address=(first, second, ", ".join(filter(None, rest))),
        city=clean(party.city),
        postal=clean(party.postal),
        country=clean(party.country).upper(),
        contact_name=clean(party.contact_name),
        phone_number=clean(party.phone_number),
        email=email,
    )


def _derive_tax(document: FrozenDocument) -> Tax:
    category = document.tax_category or ("S" if document.tax_percent > 0 else "")
    percent = digits(document.tax_percent)
    if category in ("S", "Z", ""):  # taxed: a reason of an exemption is not allowed
        return Tax(category, percent)
    code, reason = _EXEMPTIONS.get(category, ("", ""))
    given_code = clean(document.tax_exemption_code).upper()
    given_reason = clean(document.tax_exemption_reason)
    return Tax(category, percent, given_code or code, given_reason or reason)


def _derive_means(document: FrozenDocument) -> PaymentMeans | None:
    seller = document.seller
    account = _without_spaces(seller.bank_account)
    if not account:
        return PaymentMeans("68") if clean(document.payment_url) else None
    iban = parse_iban(account)
    is_sepa = document.currency == "EUR" and iban is not None and is_sepa_iban(iban)
    return PaymentMeans(
        code="58" if is_sepa else "30",
        account=iban or account,
        is_iban=iban is not None,
        holder=clean(seller.account_holder) or clean(seller.name),
        bic=parse_bic(seller.bic) or "",  # a payment finds its bank by the IBAN
    )


def _derive_remittance(document: FrozenDocument) -> str:
    """Return the reference for payments. Nothing is paid for a credit note."""
    given = clean(document.reference_number)
    if given or document.kind is DocumentKind.CREDIT_NOTE:
        return given
    return creditor_reference(document.number)


def _without_spaces(text: str) -> str:
    return "".join(clean(text).split())


def _derive_terms(document: FrozenDocument) -> str:
    owes = document.gross < 0 if document.kind is DocumentKind.CREDIT_NOTE else document.gross >= 0
    if not owes:
        return "To be credited."
    due = f"Due on {document.due_date.isoformat()}." if document.due_date else ""
    url = clean(document.payment_url)
    # XRechnung takes a line with a number sign at its start for a cash discount (rule BR-DE-18).
    return "\n".join(filter(None, (due, "" if url.startswith("#") else url)))
