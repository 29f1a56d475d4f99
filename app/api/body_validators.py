"""Validators of the fields of a request body, with the messages of Django REST framework.

Each returns the value to store, or raises `FieldError` with all its errors.
"""

from datetime import date
from typing import Any, Final
from unicodedata import category

from app.formats import parse_iso_date
from app.urls import is_web_url

NULL: Final = "This field may not be null."
_NOT_A_STRING: Final = "Not a valid string."
_INVALID_URL: Final = "Enter a valid URL."
_INVALID_DATE: Final = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."


class FieldError(Exception):
    """The errors of one field."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = list(messages)


def validate_text(value: Any, max_length: int) -> str:
    """Return the text without surrounding white space, or the text of a number."""
    return _text(value, max_length)


def validate_url(value: Any, max_length: int) -> str:
    """Return an absolute http, https, ftp or ftps URL without surrounding white space, or ""."""
    return _text(value, max_length, is_url=True)


def validate_date(value: Any) -> date:
    """Return the date of a text `YYYY-MM-DD`."""
    if value is None:
        raise FieldError(NULL)
    if not isinstance(value, str):
        raise FieldError(_INVALID_DATE)
    try:
        return parse_iso_date(value)
    except ValueError:
        raise FieldError(_INVALID_DATE) from None


def _text(value: Any, max_length: int, *, is_url: bool = False) -> str:
    if value is None:
        raise FieldError(NULL)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FieldError(_INVALID_URL if is_url else _NOT_A_STRING)
    stripped = str(value).strip()
    messages = []
    if len(stripped) > max_length:
        messages.append(f"Ensure this field has no more than {max_length} characters.")
    if "\0" in stripped:
        messages.append("Null characters are not allowed.")
    if surrogate := next((c for c in stripped if category(c) == "Cs"), None):
        messages.append(f"Surrogate characters are not allowed: U+{ord(surrogate):X}.")
    if is_url and stripped and not is_web_url(stripped):
        messages.append(_INVALID_URL)
    if messages:
        raise FieldError(*messages)
    return stripped
