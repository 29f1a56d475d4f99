"""Demonstration data: fictitious invoices of thirteen months, up to the current month."""

from typing import Final

from app.local.demo.loading import DemoSummary, load

__all__ = ["ISSUER", "MAIL_FROM", "DemoSummary", "load"]

ISSUER: Final = {
    "name": "Kaarnapilv Teenused OÜ",
    "address": "Männituule tee 21, Tartu",
    "country": "EE",
    "email": "billing@kaarnapilv.example",
    "postal": "50998",
    "phone_number": "+00 555 0100",
    "bank_name": "Example Bank",
    "bank_account": "EE00 0000 0000 1000",
    "vat_code": "EE00001000",
}
"""The issuer of the invoices, a fictitious company, as ISSUER_DETAILS holds it."""
MAIL_FROM: Final = "Kaarnapilv Billing <billing@kaarnapilv.example>"
