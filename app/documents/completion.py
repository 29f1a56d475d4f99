"""Fills in values of a document that were empty when it was frozen; others never change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_TERMS: Final = (
    "tax_category",
    "tax_exemption_code",
    "tax_exemption_reason",
    "buyer_reference",
    "order_reference",
    "agreement_number",
)
"""The keys of a document that are filled in, besides those of its parties."""
_QUALIFIES: Final = {
    "registration_scheme": "registration_code",
    "endpoint_scheme": "endpoint",
    "bank_name": "bank_account",
    "bic": "bank_account",
    "account_holder": "bank_account",
    "tax_exemption_code": "tax_category",
    "tax_exemption_reason": "tax_category",
}
"""The key of the value that a value describes."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The values that a document lacks, by their keys."""

    terms: Mapping[str, str]
    seller: Mapping[str, str]
    buyer: Mapping[str, str]

    def __bool__(self) -> bool:
        """Return whether there is a value to fill in."""
        return bool(self.terms or self.seller or self.buyer)

    @property
    def fields(self) -> list[str]:
        """The names of the values for an operator, in the order of the alphabet."""
        return [
            *(f"{name} of the issuer" for name in sorted(self.seller)),
            *(f"{name} of the customer" for name in sorted({**self.terms, **self.buyer})),
        ]

    def fill(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the document with the values."""
        parties = {
            "seller": {**content["seller"], **self.seller},
            "buyer": {**content["buyer"], **self.buyer},
        }
        return {**content, **self.terms, **parties}


def complete(content: Mapping[str, Any], known: Mapping[str, Any]) -> Completion:
    """Return the values that a document lacks and that are known today.

    Both have the keys of `app.documents.document.FrozenDocument`. A value that describes another
    one, such as the scheme of a registration code, is taken only if the other one is that of today.
    """
    return Completion(
        terms=_missing(content, {name: known.get(name) for name in _TERMS}),
        seller=_missing(content["seller"], known["seller"]),
        buyer=_missing(content["buyer"], known["buyer"]),
    )


def _missing(values: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, str]:
    missing = {
        name: value
        for name, value in known.items()
        if isinstance(value, str) and value.strip() and not (values.get(name) or "").strip()
    }
    now = {**values, **missing}

    def belongs(name: str) -> bool:
        of = _QUALIFIES.get(name)
        return of is None or (now.get(of) or "") == (known.get(of) or "")

    return {name: value for name, value in missing.items() if belongs(name)}
