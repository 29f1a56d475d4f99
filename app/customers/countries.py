"""Names of countries."""

from functools import cache

from babel import Locale


@cache
def country_name(code: str, locale: str) -> str | None:
    """Return the name of an ISO 3166 country in a locale; None if it has none."""
    return country_names(locale).get(code.upper()) if code else None


@cache
def country_names(locale: str) -> dict[str, str]:
    """Return the names of all countries in a locale, by ISO 3166 code."""
    return dict(Locale.parse(locale).territories)
