"""The profiles of EN 16931 in which documents are written, and their syntaxes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Syntax(StrEnum):
    """The XML language: UBL 2.1 of OASIS, or Cross Industry Invoice of UN/CEFACT."""

    UBL = "ubl"
    CII = "cii"


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile in one syntax."""

    name: str
    """`en16931`, `peppol` or `xrechnung`."""
    syntax: Syntax
    customization_id: str
    """Business term BT-24."""
    process_id: str = ""
    """Business term BT-23; empty if it is left out."""

    @property
    def label(self) -> str:
        """The name of the profile among those of both syntaxes, such as `factur-x`."""
        return _CII_LABELS[self.name] if self.syntax is Syntax.CII else self.name

    @property
    def is_peppol(self) -> bool:
        """Whether the rules of Peppol BIS Billing 3.0 apply."""
        return self.name == "peppol"

    @property
    def is_xrechnung(self) -> bool:
        """Whether the rules of XRechnung 3.0 apply."""
        return self.name == "xrechnung"


_CII_LABELS: Final = {"en16931": "factur-x", "xrechnung": "xrechnung-cii"}
_EN16931: Final = "urn:cen.eu:en16931:2017"
_XRECHNUNG: Final = f"{_EN16931}#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
_BILLING: Final = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"

UBL_EN16931: Final = Profile("en16931", Syntax.UBL, _EN16931)
PEPPOL: Final = Profile(
    "peppol",
    Syntax.UBL,
    f"{_EN16931}#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0",
    _BILLING,
)
UBL_XRECHNUNG: Final = Profile("xrechnung", Syntax.UBL, _XRECHNUNG, _BILLING)
FACTUR_X: Final = Profile("en16931", Syntax.CII, _EN16931)
"""The profile EN 16931 of Factur-X and ZUGFeRD."""
CII_XRECHNUNG: Final = Profile("xrechnung", Syntax.CII, _XRECHNUNG, _BILLING)

PROFILES: Final = (UBL_EN16931, PEPPOL, UBL_XRECHNUNG, FACTUR_X, CII_XRECHNUNG)


def profile_names(syntax: Syntax) -> list[str]:
    """Return the names of the profiles of a syntax; the first is the default."""
    return [profile.name for profile in PROFILES if profile.syntax is syntax]


def get_profile(syntax: Syntax, name: str) -> Profile:
    """Return the profile of a syntax. Raises ValueError with the names that it has."""
    profiles = {profile.name: profile for profile in PROFILES if profile.syntax is syntax}
    try:
        return profiles[name]
    except KeyError:
        raise ValueError(f"the profile must be one of {', '.join(profiles)}") from None
