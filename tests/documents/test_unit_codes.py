"""Units as codes of recommendation 20."""

import pytest

from app.billing.enums import BillingUnit
from app.documents.unit_codes import unit_code


@pytest.mark.parametrize(
    ("unit", "code", "word"),
    [
        (BillingUnit.HOUR, "HUR", ""),
        (BillingUnit.DAY, "DAY", ""),
        (BillingUnit.MONTH, "MON", ""),
        (BillingUnit.QUARTER, "QAN", ""),
        (BillingUnit.HALF_MONTH, "C62", "half month"),
        (BillingUnit.QUANTITY, "C62", ""),
    ],
)
def test_a_billing_unit_has_a_code(unit: BillingUnit, code: str, word: str) -> None:
    assert unit_code(unit, "") == (code, word)


@pytest.mark.parametrize(
    ("word", "code"),
    [
        *(("h", "HUR"), ("hours", "HUR"), ("day", "DAY"), ("months", "MON"), ("week", "WEE")),
        *(("year", "ANN"), ("minutes", "MIN"), ("second", "SEC"), ("B", "AD"), ("bytes", "AD")),
        *(("kB", "2P"), ("KB", "2P"), ("KiB", "E64"), ("MB", "4L"), ("MiB", "E63")),
        *(("GB", "E34"), ("gb", "E34"), ("GiB", "E62"), ("TB", "E35"), ("TiB", "E61")),
        *(("PB", "E36"), ("PiB", "E60"), ("EiB", "E59"), ("kWh", "KWH"), ("%", "P1")),
    ],
)
def test_a_measured_unit_comes_before_the_billing_unit(word: str, code: str) -> None:
    assert unit_code(BillingUnit.MONTH, word) == (code, "")


@pytest.mark.parametrize("word", ["cores", "Gb", "EB", "Hours", "C62"])
def test_an_unknown_word_is_kept_beside_the_code_of_a_number(word: str) -> None:
    assert unit_code(BillingUnit.HOUR, word) == ("C62", word)
