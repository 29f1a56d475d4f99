"""Replaces characters that none of the shipped fonts has, so that no name stops a document."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Final
from unicodedata import category

CHARACTERS_FILE: Final = Path(__file__).parent / "fonts" / "characters.txt"
"""The ranges of code points that the fonts have, one a line, as `tools/font-characters` writes."""
PLACEHOLDER: Final = "□"
_JOINERS: Final = "\u200c\u200d"
"""Invisible characters that change the shape of letters; Persian and Hindi need them."""
_UNBROKEN: Final = re.compile(r"[^\s\u200b-]{25,}")
_BREAK_AFTER: Final = 12


def make_printable(value: Any) -> Any:
    """Return a JSON value whose texts the fonts can show, with its keys unchanged."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [make_printable(each) for each in value]
    if isinstance(value, dict):
        return {key: make_printable(each) for key, each in value.items()}
    return value


def printable(text: str) -> str:
    """Replace what the fonts do not have, and allow line breaks within long words.

    White space becomes a space. Control and format characters are left out, with which a text
    could change the order of the text around it.
    """
    is_plain = text.isascii() and text.isprintable()
    shown = text if is_plain else _missing().sub(_replacement, text)
    return _UNBROKEN.sub(_with_breaks, shown)


def _replacement(match: re.Match[str]) -> str:
    character = match[0]
    if character.isspace():
        return " "
    is_invisible = category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"
    return "" if is_invisible else PLACEHOLDER


def _with_breaks(match: re.Match[str]) -> str:
    word = match[0]
    parts = [word[at : at + _BREAK_AFTER] for at in range(0, len(word), _BREAK_AFTER)]
    return "\u200b".join(parts)


@cache
def _missing() -> re.Pattern[str]:
    """Return a pattern of a character that is not shown as it is."""
    ranges = (line.split("-") for line in CHARACTERS_FILE.read_text().split())
    known = "".join(f"\\U{int(first, 16):08x}-\\U{int(last, 16):08x}" for first, last in ranges)
    return re.compile(f"[^{known}{_JOINERS}]")
