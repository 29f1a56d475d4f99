"""The decimals of currencies are those of ISO 4217."""

from decimal import Decimal

import pytest

from app.billing.currencies import get_currency


@pytest.mark.parametrize(
    ("code", "decimals"),
    [
        ("EUR", 2), ("USD", 2), ("CHF", 2),
        # Locale libraries show these without the cents that they have.
        ("HUF", 2), ("ALL", 2), ("IDR", 2), ("COP", 2), ("AFN", 2), ("MMK", 2), ("RSD", 2),
        ("JPY", 0), ("KRW", 0), ("ISK", 0), ("CLP", 0), ("UYI", 0), ("VND", 0),
        ("BHD", 3), ("IQD", 3), ("TND", 3), ("LYD", 3),
        ("CLF", 4), ("UYW", 4),
    ],
)  # fmt: skip
def test_a_currency_has_the_decimals_of_the_standard(code: str, decimals: int) -> None:
    currency = get_currency(code)
    assert (currency.code, currency.decimals) == (code, decimals)
    assert currency.smallest_unit == Decimal(10) ** -decimals


@pytest.mark.parametrize("code", ["XXX", "XTS", "XAU", "XDR", "EURO", "eur", "", "ZZZ", "BTC"])
def test_a_code_without_decimals_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 4217 code of a currency with decimals"):
        get_currency(code)
