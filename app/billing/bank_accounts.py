"""Account numbers and payment references with check digits.

Sources: ISO 13616 (IBAN), ISO 9362 (BIC), the IBAN registry for the lengths, ISO 11649 (creditor
reference), and the list of SEPA countries of the European Payments Council, EPC409-09.
"""

import re
from typing import Final

_SEPA_LENGTHS: Final = {
    "AD": 24, "AL": 28, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22,
    "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21,
    "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24,
    "RS": 22, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "VA": 22,
}  # fmt: skip
"""The length of an IBAN in each country of SEPA."""
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC: Final = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_CREDITOR_REFERENCE: Final = re.compile(r"RF[0-9]{2}[A-Z0-9]{1,21}")


def parse_iban(text: str) -> str | None:
    """Return an IBAN in capitals and without spaces, or None if the text is none.

    The length is checked for countries of SEPA only.
    """
    iban = "".join(text.split()).upper()
    length = _SEPA_LENGTHS.get(iban[:2], len(iban))
    valid = _IBAN.fullmatch(iban) and len(iban) == length and _remainder(iban) == 1
    return iban if valid else None


def parse_bic(text: str) -> str | None:
    """Return a business identifier code in capitals and without spaces, or None if it is none."""
    bic = "".join(text.split()).upper()
    return bic if _BIC.fullmatch(bic) else None


def is_sepa_iban(iban: str) -> bool:
    """Return whether a valid IBAN belongs to a country of SEPA."""
    return iban[:2] in _SEPA_LENGTHS


def looks_like_iban(text: str) -> bool:
    """Return whether a text begins as an IBAN does, so that it is a wrong one if not valid."""
    return re.match(r"[A-Z]{2}[0-9]{2}", "".join(text.split()).upper()) is not None


def is_qr_iban(iban: str) -> bool:
    """Return whether a valid IBAN needs a QR reference: an IID of 30000 to 31999."""
    return iban[:2] in ("CH", "LI") and "30000" <= iban[4:9] <= "31999"


def parse_creditor_reference(text: str) -> str | None:
    """Return a creditor reference in capitals and without spaces, or None if the text is none."""
    reference = "".join(text.split()).upper()
    valid = _CREDITOR_REFERENCE.fullmatch(reference) and _remainder(reference) == 1
    return reference if valid else None


def creditor_reference(number: int) -> str:
    """Return the creditor reference of an invoice's number: RF69100001 of 100001."""
    check_digits = 98 - _remainder(f"RF00{number}")
    return f"RF{check_digits:02}{number}"


def in_groups_of_four(text: str) -> str:
    """Return an IBAN or a reference as it is printed: `EE38 2200 2210 2014 5685`."""
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _remainder(code: str) -> int:
    """Return the remainder of ISO 7064 MOD 97-10, with the first four characters at the end."""
    return int("".join(str(int(character, 36)) for character in code[4:] + code[:4])) % 97
