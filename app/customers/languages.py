"""Languages of customers."""

import re
from typing import Final

from babel import Locale, UnknownLocaleError

_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?")


def parse_language_tag(tag: str) -> Locale:
    """Return the locale of a language tag (BCP 47): language, script and region. Raises ValueError.

    A region without a locale of its own gets the locale of its language.
    """
    if _TAG.fullmatch(tag):
        language = tag.split("-", 1)[0]
        for candidate in (tag, language):
            try:
                return Locale.parse(candidate, sep="-")
            except (UnknownLocaleError, ValueError):
                continue
    raise ValueError("must be the tag of a known language, such as de or pt-BR")
