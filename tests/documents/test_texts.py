"""The catalogues of the texts of documents and mails."""

from collections.abc import Sequence

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from app.documents import texts
from app.documents.texts import LOCALE_DIRECTORY, choose_texts

APP = LOCALE_DIRECTORY.parents[1]
LANGUAGES = sorted(path.name for path in LOCALE_DIRECTORY.iterdir())


def _messages() -> set[str | tuple[str, ...]]:
    keywords = {"_": None, "ngettext": (1, 2)}
    sources = (APP / "documents", APP / "notifications")
    return {
        message
        for source in sources
        for _, _, message, _, _ in extract_from_dir(
            source, method_map=[("**.py", "python")], keywords=keywords
        )
    }


def _catalogue(language: str) -> Catalog:
    with (LOCALE_DIRECTORY / language / "LC_MESSAGES" / "documents.po").open("rb") as file:
        return read_po(file, locale=language)


def _translations(translation: str | Sequence[str] | None) -> Sequence[str]:
    return [translation] if isinstance(translation, str) else translation or [""]


def test_there_are_four_translations() -> None:
    assert {"de", "fr", "et", "fi"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_catalogue_has_a_translation_of_each_text(language: str) -> None:
    catalogue = _catalogue(language)
    entries = {message.id: message for message in catalogue if message.id}
    assert set(entries) == _messages()
    for message in entries.values():
        assert not message.fuzzy
        assert all(_translations(message.string)), message.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_have_the_placeholders_of_the_text(language: str) -> None:
    for message in _catalogue(language):
        assert not list(message.check()), message.id
        original = message.id if isinstance(message.id, str) else message.id[0]
        for translation in _translations(message.string) if message.id else ():
            assert _placeholders(translation) == _placeholders(original), message.id


def _placeholders(text: str) -> list[str]:
    return sorted(part.partition("}")[0] for part in text.split("{")[1:])


@pytest.mark.parametrize(
    ("language", "default", "locale", "text"),
    [
        ("de", "en", "de", "Rechnung {number}"),
        ("de-CH", "en", "de_CH", "Rechnung {number}"),
        ("DE", "en", "de", "Rechnung {number}"),
        ("", "fi", "fi", "Lasku {number}"),
        ("es", "fi", "fi", "Lasku {number}"),
        ("es", "es", "es", "Invoice {number}"),
        ("../../etc", "en_GB", "en_GB", "Invoice {number}"),
        ("en", "de", "en", "Invoice {number}"),
    ],
)
def test_the_language_is_the_documents_own_or_the_deployments(
    language: str, default: str, locale: str, text: str
) -> None:
    chosen = choose_texts(language, default)
    assert chosen.locale == locale
    assert chosen.gettext("Invoice {number}") == text


def test_a_new_catalogue_is_a_new_language(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path_factory.mktemp("locale")
    folder = directory / "sv" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "documents.po").write_text('msgid "Invoice {number}"\nmsgstr "Faktura {number}"\n')
    monkeypatch.setattr(texts, "LOCALE_DIRECTORY", directory)
    assert choose_texts("sv", "en").gettext("Invoice {number}") == "Faktura {number}"
