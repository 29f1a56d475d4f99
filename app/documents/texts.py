"""The texts of documents, and of the mails that bring them, in the languages of the catalogues.

English is the source. Each folder of `locale/` that has a file `LC_MESSAGES/documents.po` is a
language.
"""

from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE_DIRECTORY: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "documents"
_SOURCE_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language. `gettext` and `ngettext` are those of the standard library."""

    locale: str
    """A locale for dates, numbers and names of countries: `de_CH`."""
    language: str
    """The language of the texts: `de`."""
    translations: NullTranslations

    def gettext(self, message: str) -> str:
        """Return the translation of a message."""
        return self.translations.gettext(message)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Return the translation of a message that depends on a number."""
        return self.translations.ngettext(singular, plural, number)


def choose_texts(language: str, default_locale: str) -> Texts:
    """Return the texts of a language, else of the deployment's locale, else in English.

    A language is a tag such as `de-CH`. Without a catalogue for either, the texts are English, and
    dates and numbers are those of the deployment's locale.
    """
    default = _parse(default_locale)
    for locale in (_parse(language), default):
        if locale and (translations := _read_catalogue(locale.language)):
            return Texts(str(locale), locale.language, translations)
    return Texts(str(default or _SOURCE_LANGUAGE), _SOURCE_LANGUAGE, NullTranslations())


def _parse(tag: str) -> Locale | None:
    try:
        return Locale.parse(tag.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return None


@cache
def _read_catalogue(language: str) -> NullTranslations | None:
    """Read a catalogue, or return None if there is none. It is compiled in memory."""
    if language == _SOURCE_LANGUAGE:
        return NullTranslations()
    path = LOCALE_DIRECTORY / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    if not path.exists():
        return None
    compiled = BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language, domain=DOMAIN))
    compiled.seek(0)
    return GNUTranslations(compiled)
