"""Forms and check digits of the numbers that identify a party: electronic address, registration."""

import re
from collections.abc import Callable
from typing import Final


def _is_gln(number: str) -> bool:
    """Check a global location number of GS1, with its check digit of modulus 10."""
    return _digits(number, None) and _weighted(number, (3, 1)) % 10 == 0


def _is_norwegian(number: str) -> bool:
    """Check an organization number of Norway: nine digits, modulus 11."""
    return (
        _digits(number, 9) and int(number) > 0 and _weighted(number, (2, 3, 4, 5, 6, 7)) % 11 == 0
    )


def _is_belgian(number: str) -> bool:
    """Check an enterprise number of Belgium: ten digits, modulus 97."""
    return _digits(number, 10) and int(number[8:]) == 97 - int(number[:8]) % 97


def _is_danish(number: str) -> bool:
    """Check the form of a CVR number of Denmark, which may begin with DK."""
    return re.fullmatch("(DK)?[0-9]{8}", number) is not None


def _is_swedish(number: str) -> bool:
    """Check an organization number of Sweden: ten digits, Luhn's algorithm."""
    if not _digits(number, 10):
        return False
    doubled = (int(digit) * factor for digit, factor in zip(number, (2, 1) * 5, strict=True))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _digits(number: str, length: int | None) -> bool:
    return re.fullmatch("[0-9]+", number) is not None and length in (None, len(number))


def _weighted(number: str, weights: tuple[int, ...]) -> int:
    """Sum the digits before the last, weighted from the right, and add the last digit."""
    body = reversed(number[:-1])
    total = sum(int(digit) * weights[at % len(weights)] for at, digit in enumerate(body))
    return total + int(number[-1])


_CHECKS: Final[dict[str, tuple[str, Callable[[str], bool]]]] = {
    "0007": ("PEPPOL-COMMON-R049", _is_swedish),
    "0088": ("PEPPOL-COMMON-R040", _is_gln),
    "0184": ("PEPPOL-COMMON-R042", _is_danish),
    "0192": ("PEPPOL-COMMON-R041", _is_norwegian),
    "0208": ("PEPPOL-COMMON-R043", _is_belgian),
}
"""By the code of a scheme (EAS and ICD agree on these): the rule of Peppol and its check."""


def broken_rule(scheme: str, identifier: str) -> str:
    """Return the rule of Peppol that an identifier of a scheme breaks, or an empty text.

    Schemes are codes of EAS or ICD. Identifiers of schemes without a fatal rule pass.
    """
    rule, is_valid = _CHECKS.get(scheme, ("", bool))
    return rule if rule and not is_valid(identifier) else ""
