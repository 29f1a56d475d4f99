"""What a profile requires of a document.

Schemas and official rules are run by tests alone. These checks find before the writing what the
rules would refuse, and name the place of a missing value. docs/documents.md has the table.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from app.billing.code_lists import (
    COUNTRIES,
    ENDPOINT_SCHEMES,
    ENDPOINT_SCHEMES_OUTSIDE_PEPPOL,
    EXEMPTION_CODES,
    REGISTRATION_SCHEMES,
    TAX_CATEGORIES,
)
from app.billing.currencies import get_currency
from app.billing.money import EXACT, fits_smallest_unit, is_near_product, round_half_up, with_tax
from app.billing.party_identifiers import broken_rule
from app.documents.document import DocumentKind, DocumentLine, FrozenDocument
from app.documents.einvoice import EInvoice, TradeParty, derive, derive_line
from app.documents.german_details import check_german_details
from app.documents.peppol_countries import check_countries
from app.documents.problems import Findings, Problem, Subject
from app.documents.profiles import Profile

_MOST_ROUNDING: Final = Decimal("0.99")
"""The official rules accept a tax that is less than one unit off."""
_MOST_DECIMALS: Final = 2
_ONE_HALF: Final = Decimal("0.5")
_UNKNOWN_CURRENCIES: Final = frozenset({"STN", "XAD"})
"""Currencies that the list of rule BR-CL-04 does not have."""
_LINE_TOLERANCE: Final = Decimal("0.02")
"""How far Peppol lets the amount of a line be from quantity times price, in any currency."""
_RULE_OF_CATEGORY: Final = {
    "S": "BR-S", "Z": "BR-Z", "E": "BR-E", "AE": "BR-AE", "K": "BR-IC", "G": "BR-G", "O": "BR-O",
}  # fmt: skip
"""The beginning of the names of the rules of each tax category."""
_CATEGORY_OF_CODE: Final = {
    "VATEX-EU-G": ("G", "PEPPOL-EN16931-P0104"),
    "VATEX-EU-O": ("O", "PEPPOL-EN16931-P0105"),
    "VATEX-EU-IC": ("K", "PEPPOL-EN16931-P0106"),
    "VATEX-EU-AE": ("AE", "PEPPOL-EN16931-P0107"),
    "VATEX-EU-D": ("E", "PEPPOL-EN16931-P0108"),
    "VATEX-EU-F": ("E", "PEPPOL-EN16931-P0109"),
    "VATEX-EU-I": ("E", "PEPPOL-EN16931-P0110"),
    "VATEX-EU-J": ("E", "PEPPOL-EN16931-P0111"),
}
"""The one category of an exemption code, and the rule of Peppol."""
_SELLER, _BUYER = Subject.ISSUER, Subject.CUSTOMER


class Requirements:
    """Checks a document for a profile: its head at once, its lines batch by batch.

    The places of values of the buyer name the `customer`.
    """

    def __init__(
        self, document: FrozenDocument, profile: Profile, customer: UUID | None = None
    ) -> None:
        self._document = document
        self._invoice = derive(document, profile)
        self._findings = Findings(
            self._invoice.number, customer, self._invoice.preceding_number or self._invoice.number
        )
        self._net = Decimal(0)
        self._has_currency = self._check_currency()
        if self._has_currency:
            self._check_sums()
        _check_party(self._findings, self._invoice, _SELLER, self._invoice.seller)
        _check_party(self._findings, self._invoice, _BUYER, self._invoice.buyer)
        _check_tax(self._findings, self._invoice)
        if profile.is_xrechnung:
            check_german_details(self._findings, self._invoice, "BR-DE-{}")
        if profile.is_peppol:
            _check_peppol(self._findings, self._invoice)

    def check_lines(self, batch: Sequence[DocumentLine]) -> None:
        """Check the next lines."""
        for line in batch:
            if line.price:
                self._net = EXACT.add(self._net, line.price)
                self._check_line(line)

    def problems(self) -> Sequence[Problem]:
        """Return all problems, after the last line."""
        if self._net != self._document.net:
            self._findings.document(
                "BT-106", "net", "BR-CO-10", "The amounts of the lines do not add up to the total."
            )
        return self._findings.all()

    def _check_currency(self) -> bool:
        code = self._document.currency
        try:
            decimals = get_currency(code).decimals
        except ValueError:
            decimals = 0
            is_known = False
        else:
            is_known = code not in _UNKNOWN_CURRENCIES
        if not is_known:
            rule, reason = "BR-CL-04", "is not in the list of currencies of EN 16931"
        elif decimals > _MOST_DECIMALS:
            rule, reason = "BR-DEC-14", "has amounts with more than two decimals"
        else:
            return True
        message = f"The currency {code} {reason}: it has no e-invoices."
        self._findings.document("BT-5", "currency", rule, message, where="CURRENCY")
        return False

    def _check_sums(self) -> None:
        document = self._document
        expected = with_tax(document.net, document.tax_percent)
        rounded = round_half_up(expected, get_currency(document.currency))
        # The last credit note of an invoice takes the rest of its total.
        limit = _MOST_ROUNDING if document.kind is DocumentKind.CREDIT_NOTE else 0
        if abs(document.gross - rounded) > limit:
            message = "The total is not the total without tax plus the tax on it."
            self._findings.document("BT-112", "gross", "BR-CO-17", message)
        if 0 < document.tax_percent < _ONE_HALF <= abs(document.tax):
            message = "The official rules round a rate below 0.5 % to none, and refuse tax at it."
            self._findings.document("BT-119", "tax_percent", "BR-CO-17", message)

    def _check_line(self, line: DocumentLine) -> None:
        document, findings = self._document, self._findings
        values = derive_line(line, 1)
        if values.start and values.start < document.period_start:
            message = "The line starts before the period of the document."
            findings.line(line, "BT-134", "start", "PEPPOL-EN16931-R110", message)
        if values.end and values.end > document.period_end:
            message = "The line ends after the period of the document."
            findings.line(line, "BT-135", "end", "PEPPOL-EN16931-R111", message)
        if not self._has_currency:
            return
        currency = get_currency(document.currency)
        exact = EXACT.multiply(line.unit_price, line.quantity)
        distance = abs(EXACT.subtract(line.price, exact))
        if not fits_smallest_unit(line.price, currency) or not is_near_product(
            line.price, line.unit_price, line.quantity, currency
        ):
            message = "The amount of the line is not its quantity times its price."
            findings.line(line, "BT-131", "price", "PEPPOL-EN16931-R120", message)
        elif self._invoice.profile.is_peppol and distance > _LINE_TOLERANCE:
            message = (
                f"The amount, rounded to {currency.code}, is too far from quantity times price."
            )
            findings.line(line, "BT-131", "price", "PEPPOL-EN16931-R120", message)


def find_problems(
    document: FrozenDocument,
    batches: Iterable[Sequence[DocumentLine]],
    profile: Profile,
    customer: UUID | None = None,
) -> Sequence[Problem]:
    """Return all that keeps a document from being written in a profile."""
    requirements = Requirements(document, profile, customer)
    for batch in batches:
        requirements.check_lines(batch)
    return requirements.problems()


def _check_party(findings: Findings, invoice: EInvoice, of: Subject, party: TradeParty) -> None:
    is_seller = of is _SELLER
    if not party.name:
        findings.missing(of, "name", "BR-06" if is_seller else "BR-07")
    if not party.country:
        findings.missing(of, "country", "BR-09" if is_seller else "BR-11")
    elif party.country not in COUNTRIES:
        findings.wrong(of, "country", "BR-CL-14", f"{party.country} is no country of ISO 3166.")
    if party.vat_code and party.vat_code[:2] not in COUNTRIES | {"EL"}:
        message = "The VAT number does not begin with the two letters of a country."
        findings.wrong(of, "vat_code", "BR-CO-09", message)
    if party.registration_code and party.registration_scheme not in REGISTRATION_SCHEMES | {""}:
        message = f"{party.registration_scheme} is no scheme of the ICD list."
        findings.wrong(of, "registration_scheme", "BR-CL-11", message)
    if party.endpoint_scheme and party.endpoint_scheme not in ENDPOINT_SCHEMES:
        message = f"{party.endpoint_scheme} is no scheme of the EAS list."
        findings.wrong(of, "endpoint_scheme", "BR-CL-25", message)
    if (invoice.profile.is_peppol or invoice.profile.is_xrechnung) and not party.endpoint:
        rule = "PEPPOL-EN16931-R020" if is_seller else "PEPPOL-EN16931-R010"
        findings.missing(of, "endpoint", rule)


def _check_tax(findings: Findings, invoice: EInvoice) -> None:
    seller, buyer, tax = invoice.seller, invoice.buyer, invoice.tax
    if not tax.category:
        message = "The tax is 0 %, and the tax category of the buyer is not known."
        findings.missing(_BUYER, "tax_category", "BR-47", message)
    elif tax.category not in TAX_CATEGORIES:
        message = f"{tax.category} is no tax category."
        findings.wrong(_BUYER, "tax_category", "BR-47", message)
    else:
        rule = _RULE_OF_CATEGORY[tax.category]
        if (tax.percent != "0") != (tax.category == "S"):
            message = f"Tax of {tax.percent} % does not belong to the category {tax.category}."
            findings.wrong(_BUYER, "tax_category", f"{rule}-05", message)
        if tax.category != "O" and not seller.vat_code and not seller.tax_number:
            findings.missing(_SELLER, "vat_code", f"{rule}-02")
        if tax.category in ("K", "G") and not seller.vat_code:
            findings.missing(_SELLER, "vat_code", f"{rule}-02")
        if tax.category == "K" and not buyer.vat_code:
            findings.missing(_BUYER, "vat_code", f"{rule}-02")
        if tax.category == "AE" and not buyer.vat_code and not buyer.registration_code:
            findings.missing(_BUYER, "vat_code", f"{rule}-02")
    if not seller.vat_code and not seller.registration_code:
        findings.missing(_SELLER, "registration_code", "BR-CO-26")
    _check_exemption(findings, invoice)


def _check_exemption(findings: Findings, invoice: EInvoice) -> None:
    tax = invoice.tax
    if tax.category == "E" and not tax.exemption_code and not tax.exemption_reason:
        findings.missing(_BUYER, "tax_exemption_reason", "BR-E-10")
    if not tax.exemption_code:
        return
    if tax.exemption_code not in EXEMPTION_CODES:
        message = f"{tax.exemption_code} is no code of the VATEX list."
        findings.wrong(_BUYER, "tax_exemption_code", "BR-CL-22", message)
    category, rule = _CATEGORY_OF_CODE.get(tax.exemption_code, (tax.category, ""))
    if category != tax.category:
        message = f"{tax.exemption_code} belongs to the tax category {category}."
        findings.wrong(_BUYER, "tax_exemption_code", rule, message)


def _check_peppol(findings: Findings, invoice: EInvoice) -> None:
    if not invoice.buyer_reference and not invoice.order_reference:
        findings.missing(_BUYER, "buyer_reference", "PEPPOL-EN16931-R003")
    for of, party in ((_SELLER, invoice.seller), (_BUYER, invoice.buyer)):
        if party.endpoint_scheme in ENDPOINT_SCHEMES_OUTSIDE_PEPPOL:
            message = f"Peppol has no electronic addresses of the scheme {party.endpoint_scheme}."
            findings.wrong(of, "endpoint_scheme", "PEPPOL-EN16931-CL008", message)
        for field, scheme, identifier in (
            ("endpoint", party.endpoint_scheme, party.endpoint),
            ("registration_code", party.registration_scheme, party.registration_code),
        ):
            if identifier and (rule := broken_rule(scheme, identifier)):
                findings.wrong(of, field, rule)
    check_countries(findings, invoice)
