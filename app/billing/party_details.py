"""The forms of optional details of the issuer and of customers.

The check functions return the value that they get; they raise ValueError, with a message for the
end user, if its form is wrong. An empty text stands for a value that is not known and passes.
"""

import re
from typing import Final

from app.billing.bank_accounts import parse_bic
from app.billing.code_lists import ENDPOINT_SCHEMES, REGISTRATION_SCHEMES, TAX_CATEGORIES
from app.billing.party_identifiers import broken_rule

_EXEMPTION_CODE: Final = re.compile(r"VATEX-[A-Z0-9-]+")


def check_registration_scheme(scheme: str) -> str:
    """Check the scheme of a registration code."""
    if scheme and scheme not in REGISTRATION_SCHEMES:
        raise ValueError("must be the four digits of a scheme of the ICD list, such as 0191")
    return scheme


def check_endpoint_scheme(scheme: str) -> str:
    """Check the scheme of an electronic address."""
    if scheme and scheme not in ENDPOINT_SCHEMES:
        raise ValueError("must be a scheme of the EAS list, such as 9931, or EM for e-mail")
    return scheme


def check_endpoint(endpoint: str, scheme: str) -> None:
    """Check an electronic address with its scheme: there are both or neither.

    Checks the digits in those schemes in which Peppol does.
    """
    if bool(endpoint) != bool(scheme):
        raise ValueError("endpoint and endpoint_scheme must both be set or both be empty")
    if broken_rule(scheme, endpoint):
        raise ValueError(f"the check digits or the form of the endpoint are wrong in {scheme}")


def check_tax_category(category: str) -> str:
    """Check a tax category."""
    if category and category not in TAX_CATEGORIES:
        raise ValueError(f"must be empty or one of {', '.join(TAX_CATEGORIES)}")
    return category


def check_tax_exemption_code(code: str) -> str:
    """Check the form of the code of a tax exemption.

    The list grows, so that a code outside it is an error of e-invoices alone.
    """
    if code and not _EXEMPTION_CODE.fullmatch(code):
        raise ValueError("must be a code such as VATEX-EU-AE")
    return code


def check_bic(bic: str) -> str:
    """Check the form of a business identifier code (ISO 9362)."""
    if bic and parse_bic(bic) != bic:
        raise ValueError("must have 8 or 11 capital letters and digits, such as EXMPEE2X")
    return bic
