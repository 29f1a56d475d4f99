"""The characters that the shipped fonts have."""

import runpy
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.pdf.characters import CHARACTERS_FILE, printable

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(
    unicodedata.unidata_version != "15.1.0", reason="the ranges were made by Unicode 15.1"
)
def test_the_ranges_are_those_of_the_fonts() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "font-characters"))
    assert CHARACTERS_FILE.read_text().split() == tool["ranges"](
        CHARACTERS_FILE.parent.glob("*.ttf")
    )


@given(st.text())
def test_any_text_can_be_made_printable_and_stays_so(text: str) -> None:
    shown = printable(text)
    assert not any(character in shown for character in "\n\r\t\x00\u202e\u2066")
    assert printable(shown.replace("\u200b", "")) == shown


def test_joiners_stay_since_persian_needs_them() -> None:
    word = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    assert printable(word) == word
