"""How amounts, quantities and dates are written for a reader, by the deployment's locale."""

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
"""Characters of a name that are shown; a longer one is cut."""

_MOST_DECIMALS = 10


def to_one_line(text: str) -> str:
    """Return a text fit for a header or a line: no line breaks, no control characters, not long."""
    printable = "".join(
        " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character
        for character in text
    )
    return shorten(" ".join(printable.split()))


def shorten(text: str) -> str:
    """Cut a text that is longer than a reader would want."""
    return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + "…"


class Formats:
    """Writes values in one locale and currency."""

    def __init__(self, locale: str, currency: Currency) -> None:
        self.locale = Locale.parse(locale, sep="-" if "-" in locale else "_")
        self.currency = currency
        least = currency.decimals
        # Not the decimals that the locale gives a currency: it hides cents that some have.
        self._money = _with_decimals(self.locale.currency_formats["standard"], least, least)
        self._amounts = _with_decimals(self.locale.decimal_formats[None], least)
        self._quantities = _with_decimals(self.locale.decimal_formats[None], 0)
        self._percents = _with_decimals(self.locale.percent_formats[None], 0)

    def money(self, amount: Decimal) -> str:
        """Write an amount with the currency and its decimals: `€1,234.50`, `¥1,235`."""
        rounded = round_half_even(amount, self.currency)
        return self._written(
            self._money, rounded, currency=self.currency.code, currency_digits=False
        )

    def amount(self, amount: Decimal) -> str:
        """Write an amount with all its decimals, at least the currency's: `1,234.50`, `0.0125`."""
        return self._written(self._amounts, amount)

    def quantity(self, quantity: Decimal) -> str:
        """Write a quantity with those decimals that count: `744`, `0.5`."""
        return self._written(self._quantities, quantity)

    def percent(self, percent: Decimal) -> str:
        """Write a percentage of 100: `20%`, `5.5%`."""
        return self._written(self._percents, percent / 100)

    def _written(self, pattern: NumberPattern, number: Decimal, **options: Any) -> str:
        # Babel rounds in the context of the thread, whose 28 digits are too few for amounts of
        # 10^18 with all their decimals.
        with localcontext(EXACT):
            return str(pattern.apply(number, self.locale, **options))

    def day(self, day: date | None) -> str:
        """Write a date, or nothing: `Nov 1, 2026`."""
        return format_date(day, "medium", locale=self.locale) if day else ""

    def month(self, period: Period) -> str:
        """Write a period: `October 2026`."""
        return format_skeleton("yMMMM", period.first_day, locale=self.locale)

    def country(self, code: str) -> str:
        """Name a country by its two letters; an unknown code stays as it is."""
        return country_name(code, str(self.locale)) or code


def _with_decimals(pattern: NumberPattern, least: int, most: int = _MOST_DECIMALS) -> NumberPattern:
    adapted = copy(pattern)
    adapted.frac_prec = (least, most)
    return adapted
