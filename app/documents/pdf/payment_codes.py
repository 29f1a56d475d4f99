"""QR codes that fill in a payment order: the EPC code and the Swiss QR-bill.

Sources: EPC069-12 of the European Payments Council; Swiss Implementation Guidelines QR-bill 2.3.
"""

import io
import re
from decimal import Decimal
from typing import Final

from chqr import Creditor, QRBill, UltimateDebtor, ValidationError
from segno import QRCode
from segno.helpers import make_epc_qr

from app.billing.bank_accounts import (
    creditor_reference,
    is_sepa_iban,
    parse_bic,
    parse_creditor_reference,
    parse_iban,
)
from app.documents.document import FrozenDocument, Party
from app.documents.printed_sums import asks_for_payment

_LARGEST_AMOUNT: Final = Decimal("999999999.99")
_EPC_NAME_LENGTH: Final = 70
_EPC_TEXT_LENGTH: Final = 140
_BILL_LANGUAGES: Final = ("de", "fr", "it", "en")
_BILL_TEXT_LENGTH: Final = 140
_BILL_LINE_LENGTH: Final = 46
"""The most characters of a line that fit into the receipt, at its smallest size of 6 pt."""


def payment_reference(document: FrozenDocument) -> str:
    """Return the reference of the payment: the invoice's own, or one made of its number."""
    return document.reference_number.strip() or creditor_reference(document.number)


def epc_code(document: FrozenDocument) -> str | None:
    """Return an EPC code as SVG, or None where a bank would refuse it.

    It needs an amount to pay in euros, in cents, and an IBAN of SEPA.
    """
    seller = document.seller
    iban = parse_iban(seller.bank_account)
    if not (_has_amount(document) and document.currency == "EUR" and iban and is_sepa_iban(iban)):
        return None
    name = _one_line(seller.account_holder or seller.name)[:_EPC_NAME_LENGTH].strip()
    if not name:
        return None
    reference = _one_line(payment_reference(document))
    structured = parse_creditor_reference(reference)
    code = make_epc_qr(
        name=name,
        iban=iban,
        amount=document.gross,
        reference=structured,
        text=None if structured else reference[:_EPC_TEXT_LENGTH],
        bic=parse_bic(seller.bic),
        encoding="utf-8",
    )
    return _to_svg(code)


def swiss_qr_bill(document: FrozenDocument, language: str, message: str) -> str | None:
    """Return the payment part of a Swiss QR-bill as SVG of 210 by 108 mm, or None.

    It needs an amount in francs or euros, an IBAN of Switzerland or Liechtenstein, and the seller's
    city and post code. A QR-IBAN wants a reference that only the bank hands out, so it gets none.
    A buyer whose name or address the bill does not take is left open.
    """
    iban = parse_iban(document.seller.bank_account)
    if not (_has_amount(document) and iban and iban[:2] in ("CH", "LI")):
        return None
    reference = payment_reference(document)
    structured = parse_creditor_reference(reference)
    try:
        bill = QRBill(
            account=iban,
            creditor=Creditor(**_address(document.seller, document.seller.account_holder)),
            currency=document.currency,
            amount=document.gross,
            reference_type="SCOR" if structured else "NON",
            reference=structured,
            additional_information=_latin(message if structured else f"{reference} {message}")[
                :_BILL_TEXT_LENGTH
            ].strip(),
            debtor=_debtor(document.buyer),
        )
    except ValidationError:
        return None
    return _fit(bill.generate_svg(language if language in _BILL_LANGUAGES else "en"))


def _has_amount(document: FrozenDocument) -> bool:
    amount = document.gross
    return asks_for_payment(document) and amount <= _LARGEST_AMOUNT and amount == round(amount, 2)


def _debtor(buyer: Party) -> UltimateDebtor | None:
    try:
        return UltimateDebtor(**_address(buyer, ""))
    except ValidationError:
        return None


def _address(party: Party, name: str) -> dict[str, str]:
    """Return the parts of an address on a bill. Raises ValidationError if a line does not fit."""
    lines = [_one_line(line) for line in party.address.splitlines() if line.strip()]
    address = {
        "name": _one_line(name or party.name),
        "street": ", ".join(lines),
        "postal_code": _one_line(party.postal),
        "city": _one_line(party.city),
        "country": party.country.strip().upper(),
    }
    if max(map(len, address.values())) > _BILL_LINE_LENGTH:
        raise ValidationError("A line is longer than the receipt is wide.")
    return address


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _latin(text: str) -> str:
    """Return a text with only those characters that a bill may have."""
    return "".join(c if c <= "\x7e" or "\xa0" <= c <= "\u017f" else "?" for c in _one_line(text))


def _to_svg(code: QRCode) -> str:
    buffer = io.BytesIO()
    code.save(buffer, kind="svg", border=4, xmldecl=False)
    return buffer.getvalue().decode()


def _fit(svg: str) -> str:
    """Adapt a bill to the typesetter, which knows no `calc()`, and shrink lines that are long."""
    svg = re.sub(
        r"calc\(([\d.]+)mm - 3mm - 0\.3mm\)", lambda match: f"{float(match[1]) - 3.3:.1f}mm", svg
    )
    svg = re.sub(r'font-size="8pt">([^<]{35,})<', r'font-size="6pt">\1<', svg)
    return svg.replace("Arial, Helvetica, Liberation Sans, sans-serif", "Liberation Sans")
