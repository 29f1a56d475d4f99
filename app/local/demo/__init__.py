"""Demonstration data: fictitious invoices of thirteen months, up to the current month."""

from typing import Final

from app.local.demo.loading import DemoSummary, load

__all__ = ["ISSUER", "MAIL_FROM", "DemoSummary", "load"]

ISSUER: Final = {
    "name": "Kaarnapilv Teenused OÜ",
    "address": "Männituule tee 21",
    "city": "Tartu",
    "country": "EE",
    "email": "billing@kaarnapilv.example",
    "postal": "50998",
    "phone_number": "+00 555 0100",
    "bank_name": "Example Bank",
    "bank_account": "EE90 0000 0000 0000 1000",
    "bic": "EXMPEE20",
    "account_holder": "Kaarnapilv Teenused OÜ",
    "vat_code": "EE00001000",
    "tax_number": "00001000",
    "registration_code": "00001000",
    "registration_scheme": "0191",
    "endpoint": "EE00001000",
    "endpoint_scheme": "9931",
    "contact_name": "Agnes Tuulik",
    "invoice_note": "This is a demonstration: nothing has to be paid.",
}
"""The issuer of the invoices, a fictitious company, as ISSUER_DETAILS holds it."""
MAIL_FROM: Final = "Kaarnapilv Billing <billing@kaarnapilv.example>"
