"""The currencies of ISO 4217 and the number of decimals of each.

The decimals are the minor units of the standard's list one (current currencies and funds), as its
maintenance agency SIX published it on 2026-01-01. The list is kept here because the decimals of a
deployment must not change with the release of a dependency. Locale libraries follow printing custom
(some hide the cents of currencies that have them). The packages with the standard's own list have a
licence that is not allowed here, or leave the minor units out.

Codes without minor units (metals, units of account, XTS for tests, XXX for no currency) are left
out: nothing can be invoiced in them.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

_CODES: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
        CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
        GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
        LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
        PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
        SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW
        ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""The codes by their number of decimals."""


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency and the precision of its amounts."""

    code: str
    """The alphabetic code of ISO 4217."""
    decimals: int
    """The number of digits after the decimal point."""
    smallest_unit: Decimal = field(init=False)
    """The smallest amount above zero: 0.01 of a currency with two decimals."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "smallest_unit", Decimal(1).scaleb(-self.decimals))


_CURRENCIES: Final = {
    code: Currency(code, decimals) for decimals, codes in _CODES.items() for code in codes.split()
}


def get_currency(code: str) -> Currency:
    """Return the currency with an alphabetic code of ISO 4217, in upper case.

    Raises ValueError for an unknown code, or one without decimals.
    """
    try:
        return _CURRENCIES[code]
    except KeyError:
        raise ValueError(f"{code} is not an ISO 4217 code of a currency with decimals") from None
