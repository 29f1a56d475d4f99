"""Units as codes of UN/ECE recommendation 20, which e-invoices require.

Words of usage and codes look alike and differ: the code GB is the gallon a day, and KB the
kilocharacter. A word is therefore never written as a code.
"""

from typing import Final

from app.billing.enums import BillingUnit

ONE: Final = "C62"
"""The code of a number of anything."""

_OF_UNITS: Final = {
    BillingUnit.HOUR: "HUR",
    BillingUnit.DAY: "DAY",
    BillingUnit.MONTH: "MON",
    BillingUnit.QUARTER: "QAN",
    BillingUnit.QUANTITY: ONE,
}
_WORDS_OF_CODES: Final = {
    "HUR": "h hour hours",
    "DAY": "day days",
    "MON": "month months",
    "QAN": "quarter quarters",
    "WEE": "week weeks",
    "ANN": "year years",
    "MIN": "minute minutes",
    "SEC": "second seconds",
    "AD": "B byte bytes",
    "2P": "kB KB",
    "E64": "KiB",
    "4L": "MB",
    "E63": "MiB",
    "E34": "GB gb",
    "E62": "GiB",
    "E35": "TB",
    "E61": "TiB",
    "E36": "PB",
    "E60": "PiB",
    "E59": "EiB",
    "KWH": "kWh",
    "P1": "percent %",
}
_OF_WORDS: Final = {word: code for code, words in _WORDS_OF_CODES.items() for word in words.split()}


def unit_code(unit: BillingUnit, measured_unit: str) -> tuple[str, str]:
    """Return the code of a line's unit, and the word that the code does not express.

    The measured unit comes before the billing unit. Case counts: Gb is a bit. An unknown word is
    returned with the code C62; the second text is empty otherwise.
    """
    if measured_unit:
        code = _OF_WORDS.get(measured_unit)
        return (code, "") if code else (ONE, measured_unit)
    if unit is BillingUnit.HALF_MONTH:
        return ONE, "half month"
    return _OF_UNITS[unit], ""
