"""The rules of Peppol BIS Billing 3.0 (release 3.0.19) for sellers in some countries."""

import re
from collections.abc import Callable
from typing import Final

from app.billing.party_identifiers import broken_rule
from app.documents.einvoice import EInvoice, TradeParty
from app.documents.german_details import check_german_details
from app.documents.problems import Findings, Subject

_SELLER, _BUYER = Subject.ISSUER, Subject.CUSTOMER


def check_countries(findings: Findings, invoice: EInvoice) -> None:
    """Add the problems of the rules for the country of the seller."""
    seller = invoice.seller
    # Some rules take the country from the VAT number, others from the address.
    for country in dict.fromkeys((seller.country, seller.vat_code[:2])):
        if check := _CHECKS.get(country):
            check(findings, invoice)


def _check_germany(findings: Findings, invoice: EInvoice) -> None:
    if invoice.seller.country == invoice.buyer.country == "DE":
        check_german_details(findings, invoice, "DE-R-{:03}")


def _check_denmark(findings: Findings, invoice: EInvoice) -> None:
    seller, buyer, means = invoice.seller, invoice.buyer, invoice.means
    if seller.country != "DK":
        return
    if not seller.registration_code:
        findings.missing(_SELLER, "registration_code", "DK-R-002")
    elif seller.registration_scheme != "0184":
        message = "The scheme of the registration code of a seller in Denmark is 0184."
        findings.wrong(_SELLER, "registration_scheme", "DK-R-014", message)
    if buyer.country == "DK" and not invoice.is_credit_note and means and means.code != "58":
        message = "Between parties in Denmark only an account with an IBAN can be named, in EUR."
        findings.wrong(_SELLER, "bank_account", "DK-R-005", message, term="BT-81")


def _check_iceland(findings: Findings, invoice: EInvoice) -> None:
    seller, buyer = invoice.seller, invoice.buyer
    if seller.country != "IS":
        return
    _require_address(findings, _SELLER, seller, "IS-R-003", with_city=False)
    _require_icelandic_number(findings, _SELLER, seller, "IS-R-002")
    if buyer.country == "IS":
        _require_address(findings, _BUYER, buyer, "IS-R-005", with_city=False)
        _require_icelandic_number(findings, _BUYER, buyer, "IS-R-004")


def _require_icelandic_number(
    findings: Findings, of: Subject, party: TradeParty, rule: str
) -> None:
    if not party.registration_code:
        findings.missing(of, "registration_code", rule)
    elif party.registration_scheme != "0196":
        message = "The scheme of a registration code of Iceland is 0196."
        findings.wrong(of, "registration_scheme", rule, message)


def _check_italy(findings: Findings, invoice: EInvoice) -> None:
    seller = invoice.seller
    if (seller.vat_code[:2] or seller.country) != "IT":
        return
    for field, value, rule in (
        ("address", seller.address[0], "IT-R-002"),
        ("city", seller.city, "IT-R-003"),
        ("postal", seller.postal, "IT-R-004"),
    ):
        if not value:
            findings.missing(_SELLER, field, rule)
    if seller.tax_number and not re.fullmatch("[A-Z0-9]{11,16}", seller.tax_number):
        message = "A tax number of Italy has 11 to 16 capital letters and digits."
        findings.wrong(_SELLER, "tax_number", "IT-R-001", message)


def _check_netherlands(findings: Findings, invoice: EInvoice) -> None:
    seller, buyer = invoice.seller, invoice.buyer
    if seller.country != "NL":
        return
    _require_address(findings, _SELLER, seller, "NL-R-002")
    _require_dutch_scheme(findings, _SELLER, seller, "NL-R-003")
    if not invoice.is_credit_note and invoice.gross > 0 and invoice.means is None:
        findings.missing_means("NL-R-007")
    if buyer.country != "NL":
        return
    _require_address(findings, _BUYER, buyer, "NL-R-004")
    _require_dutch_scheme(findings, _BUYER, buyer, "NL-R-005")
    if invoice.means and not invoice.means.account:
        message = "Between parties in the Netherlands a payment needs a bank account."
        findings.wrong(_SELLER, "bank_account", "NL-R-008", message)


def _require_dutch_scheme(findings: Findings, of: Subject, party: TradeParty, rule: str) -> None:
    if party.registration_code and party.registration_scheme not in ("0106", "0190"):
        message = "The scheme of a registration code of the Netherlands is 0106 or 0190."
        findings.wrong(of, "registration_scheme", rule, message)


def _check_norway(findings: Findings, invoice: EInvoice) -> None:
    vat_code = invoice.seller.vat_code
    if not vat_code.startswith("NO"):
        return
    if not vat_code.endswith("MVA") or broken_rule("0192", vat_code[2:-3]):
        message = "A VAT number of Norway is NO, the organization number, and MVA."
        findings.wrong(_SELLER, "vat_code", "NO-R-001", message)


def _check_sweden(findings: Findings, invoice: EInvoice) -> None:
    seller = invoice.seller
    if seller.country != "SE":
        return
    if seller.registration_code and broken_rule("0007", seller.registration_code):
        message = (
            "A registration code of Sweden has ten digits, of which the last is a check digit."
        )
        findings.wrong(_SELLER, "registration_code", "SE-R-013", message)
    if seller.registration_code and seller.tax_number.upper() not in ("", "GODKÄND FÖR F-SKATT"):
        message = "The tax number of a seller in Sweden is the text Godkänd för F-skatt."
        findings.wrong(_SELLER, "tax_number", "SE-R-005", message)
    if not seller.vat_code.startswith("SE"):
        return
    if not re.fullmatch("SE[0-9]{12}", seller.vat_code):
        message = "A VAT number of Sweden is SE and twelve digits."
        rule = "SE-R-002" if len(seller.vat_code) == 14 else "SE-R-001"
        findings.wrong(_SELLER, "vat_code", rule, message)
    if invoice.tax.category == "S" and invoice.tax.percent not in ("6", "12", "25"):
        message = "The tax rates of Sweden are 6, 12 and 25 %."
        findings.document("BT-119", "tax_percent", "SE-R-006", message)


def _refuse_greece(findings: Findings, _: EInvoice) -> None:
    message = "Peppol requires a number and a mark of the tax office in Greece: not supported."
    findings.wrong(_SELLER, "country", "GR-R-001-1", message)


def _require_address(
    findings: Findings, of: Subject, party: TradeParty, rule: str, *, with_city: bool = True
) -> None:
    values = {"address": party.address[0], "postal": party.postal}
    if with_city:
        values["city"] = party.city
    for field, value in values.items():
        if not value:
            findings.missing(of, field, rule)


_CHECKS: Final[dict[str, Callable[[Findings, EInvoice], None]]] = {
    "DE": _check_germany,
    "DK": _check_denmark,
    "EL": _refuse_greece,
    "GR": _refuse_greece,
    "IS": _check_iceland,
    "IT": _check_italy,
    "NL": _check_netherlands,
    "NO": _check_norway,
    "SE": _check_sweden,
}
