"""Names of countries."""

from functools import cache

from babel import Locale


@cache
def country_name(code: str, locale: str) -> str | None:
    """Return the name of an ISO 3166 country in a locale; None if it has none."""
    name: str | None = Locale.parse(locale).territories.get(code.upper()) if code else None
    return name
