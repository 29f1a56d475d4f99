"""The issuer of the demonstration's invoices: a fictitious company, as ISSUER_DETAILS holds it."""

from typing import Final

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
MAIL_FROM: Final = "Kaarnapilv Billing <billing@kaarnapilv.example>"
