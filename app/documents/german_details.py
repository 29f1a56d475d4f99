"""What XRechnung requires, and the rules of Peppol between two parties in Germany.

Both have the same rules under different names: BR-DE-3 of XRechnung is DE-R-003 of Peppol.
"""

from app.documents.einvoice import EInvoice
from app.documents.problems import Findings, Subject


def check_german_details(findings: Findings, invoice: EInvoice, rule_name: str) -> None:
    """Add what is missing; `rule_name` is a format for the number of a rule."""
    seller, buyer = invoice.seller, invoice.buyer
    has_contact = bool(seller.contact_name or seller.phone_number or seller.email)
    for of, field, value, number in (
        (Subject.ISSUER, "city", seller.city, 3),
        (Subject.ISSUER, "postal", seller.postal, 4),
        (Subject.ISSUER, "contact_name", seller.contact_name, 5 if has_contact else 2),
        (Subject.ISSUER, "phone_number", seller.phone_number, 6 if has_contact else 2),
        (Subject.ISSUER, "email", seller.email, 7 if has_contact else 2),
        (Subject.CUSTOMER, "city", buyer.city, 8),
        (Subject.CUSTOMER, "postal", buyer.postal, 9),
        (Subject.CUSTOMER, "buyer_reference", invoice.buyer_reference, 15),
    ):
        if not value:
            findings.missing(of, field, rule_name.format(number))
    if invoice.means is None:
        findings.missing_means(rule_name.format(1))
