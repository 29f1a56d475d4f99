"""Formats amounts, quantities and dates in the deployment's locale."""

import re
import unicodedata
from copy import copy
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from babel import Locale
from babel.dates import format_date, format_skeleton
from babel.numbers import NumberPattern

from app.billing.currencies import Currency
from app.billing.money import EXACT, round_half_even
from app.billing.periods import Period
from app.customers.countries import country_name

MAX_TEXT_LENGTH = 300
"""Characters after which a text is truncated."""

_MAX_DECIMALS = 10
_CODE_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")


def to_one_line(text: str) -> str:
    """Truncate a text and replace its line breaks and control characters by spaces."""
    printable = "".join(
        " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character
        for character in text
    )
    return shorten(" ".join(printable.split()))


def shorten(text: str) -> str:
    """Truncate a text that is longer than `MAX_TEXT_LENGTH`."""
    return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + "…"


class Formats:
    """Formats values in one locale and currency."""

    def __init__(self, locale: str, currency: Currency) -> None:
        self.locale = Locale.parse(locale, sep="-" if "-" in locale else "_")
        self.currency = currency
        minimum = currency.decimals
        # Without the currency's decimals in CLDR, which has none for some currencies with cents.
        self._money = _with_decimals(self.locale.currency_formats["standard"], minimum, minimum)
        self._amounts = _with_decimals(self.locale.decimal_formats[None], minimum)
        self._quantities = _with_decimals(self.locale.decimal_formats[None], 0)
        self._percents = _with_decimals(self.locale.percent_formats[None], 0)

    def money(self, amount: Decimal) -> str:
        """Format an amount with the currency and its decimals: `€1,234.50`, `¥1,235`.

        A currency without a sign stands apart, as CLDR asks for: `CHF 1,234.50`.
        """
        rounded = round_half_even(amount, self.currency)
        text = self._apply(self._money, rounded, currency=self.currency.code, currency_digits=False)
        return _CODE_BEFORE_DIGIT.sub("\u00a0", text)

    def amount(self, amount: Decimal) -> str:
        """Format an amount with all its decimals, at least the currency's: `1,234.50`, `0.0125`."""
        return self._apply(self._amounts, amount)

    def quantity(self, quantity: Decimal) -> str:
        """Format a quantity without trailing zeros: `744`, `0.5`."""
        return self._apply(self._quantities, quantity)

    def percent(self, percent: Decimal) -> str:
        """Format a percentage, given as 20 for 20 %: `20%`, `5.5%`."""
        return self._apply(self._percents, percent / 100)

    def _apply(self, pattern: NumberPattern, number: Decimal, **options: Any) -> str:
        # Babel rounds in the thread's decimal context, whose 28 digits are too few for amounts of
        # 10^18 with all decimals.
        with localcontext(EXACT):
            return str(pattern.apply(number, self.locale, **options))

    def day(self, day: date | None) -> str:
        """Format a date, as `Nov 1, 2026`; empty for None."""
        return format_date(day, "medium", locale=self.locale) if day else ""

    def month(self, period: Period) -> str:
        """Format a period: `October 2026`."""
        return format_skeleton("yMMMM", period.first_day, locale=self.locale)

    def country(self, code: str) -> str:
        """Return the name of a country by its two-letter code, or an unknown code itself."""
        return country_name(code, str(self.locale)) or code


def _with_decimals(
    pattern: NumberPattern, minimum: int, maximum: int = _MAX_DECIMALS
) -> NumberPattern:
    adapted = copy(pattern)
    adapted.frac_prec = (minimum, maximum)
    return adapted
