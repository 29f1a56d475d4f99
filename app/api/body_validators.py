"""Rules for single fields of a request body, in Django REST framework's words.

Each function returns the value to keep, or raises `FieldError` with everything that is wrong.
"""

from datetime import date
from typing import Any, Final
from unicodedata import category

from app.api.errors import InvalidFields
from app.formats import parse_iso_date
from app.urls import is_web_url

NULL: Final = "This field may not be null."
_NO_STRING: Final = "Not a valid string."
_NO_URL: Final = "Enter a valid URL."
_NO_DATE: Final = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."


class FieldError(Exception):
    """What is wrong with the value of a field."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = list(messages)


class FieldErrors:
    """Gathers what is wrong with each field, so that all of it is told at once."""

    def __init__(self) -> None:
        self._fields: dict[str, list[str]] = {}

    def add(self, field: str, *messages: str) -> None:
        """Note what is wrong with a field; without a message, nothing is."""
        if messages:
            self._fields.setdefault(field, []).extend(messages)

    def raise_if_any(self) -> None:
        """Raise `InvalidFields` where anything was noted."""
        if self._fields:
            raise InvalidFields(self._fields)


def text(value: Any, max_length: int) -> str:
    """Return the text without white space around it; a number as its text."""
    return _text(value, max_length, otherwise=_NO_STRING)


def url(value: Any, max_length: int) -> str:
    """Return an absolute http, https, ftp or ftps URL as it was given, or an empty text."""
    return _text(value, max_length, otherwise=_NO_URL, is_url=True)


def iso_date(value: Any) -> date:
    """Return a date from `YYYY-MM-DD`, exactly."""
    if value is None:
        raise FieldError(NULL)
    if not isinstance(value, str):
        raise FieldError(_NO_DATE)
    try:
        return parse_iso_date(value)
    except ValueError:
        raise FieldError(_NO_DATE) from None


def _text(value: Any, max_length: int, *, otherwise: str, is_url: bool = False) -> str:
    if value is None:
        raise FieldError(NULL)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FieldError(otherwise)
    words = str(value).strip()
    messages = []
    if len(words) > max_length:
        messages.append(f"Ensure this field has no more than {max_length} characters.")
    if "\0" in words:
        messages.append("Null characters are not allowed.")
    if surrogate := next((c for c in words if category(c) == "Cs"), None):
        messages.append(f"Surrogate characters are not allowed: U+{ord(surrogate):X}.")
    if is_url and words and not is_web_url(words):
        messages.append(_NO_URL)
    if messages:
        raise FieldError(*messages)
    return words
