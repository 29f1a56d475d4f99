"""The fields of request bodies: their values, error messages and schemas.

A field is declared in the annotation of a `RequestModel`:

    name: Annotated[str, Text(max_length=150)]
    end_date: Annotated[date | None, Date()] = OPTIONAL

`None` in the annotation makes a field nullable. The values and messages are those of Django REST
framework's serializer fields.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, ClassVar, Final
from unicodedata import category
from uuid import UUID

from app.api.multipart import FilePart
from app.api.request_model import BodyContext, BodyField, FieldError
from app.formats import parse_iso_date, parse_uuid
from app.mailbox import InvalidAddress, Mailbox
from app.urls import is_web_url

BLANK: Final = "This field may not be blank."
_NOT_A_STRING: Final = "Not a valid string."
_INVALID_URL: Final = "Enter a valid URL."
_INVALID_EMAIL: Final = "Enter a valid email address."
_INVALID_DATE: Final = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
_INVALID_TIME: Final = (
    "Datetime has wrong format. Use one of these formats instead:"
    " YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)
_INVALID_UUID: Final = "Must be a valid UUID."
NOT_A_FILE: Final = "The submitted data was not a file. Check the encoding type on the form."
_SEVERAL_FILES: Final = "Only one file can be submitted."

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_TRUE: Final = frozenset({"t", "y", "yes", "true", "on", "1"})
_FALSE: Final = frozenset({"f", "n", "no", "false", "off", "0"})


@dataclass(frozen=True, slots=True)
class Text(BodyField):
    """A text without surrounding white space. A number counts as its text."""

    max_length: int | None = None
    blank: bool = False
    """Whether it may be empty."""

    @property
    def takes_empty(self) -> bool:
        """Whether an empty text is a value."""
        return self.blank

    def parse(self, value: Any, _context: BodyContext) -> str:
        """Return the text."""
        text = _text(value, _NOT_A_STRING)
        if not text and not self.blank:
            raise FieldError(BLANK)
        _raise_errors(_text_errors(text, self.max_length))
        return text

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a string."""
        schema: dict[str, Any] = {"type": "string"}
        if not self.blank:
            schema["minLength"] = 1
        if self.max_length is not None:
            schema["maxLength"] = self.max_length
        return schema


@dataclass(frozen=True, slots=True)
class Url(BodyField):
    """An absolute http, https, ftp or ftps URL, or an empty text."""

    max_length: int

    @property
    def takes_empty(self) -> bool:
        """An empty text is a value."""
        return True

    def parse(self, value: Any, _context: BodyContext) -> str:
        """Return the URL without surrounding white space."""
        text = _text(value, _INVALID_URL)
        errors = _text_errors(text, self.max_length)
        if text and not is_web_url(text):
            errors.append(_INVALID_URL)
        _raise_errors(errors)
        return text

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a URL or an empty string."""
        filled = {"type": "string", "format": "uri", "maxLength": self.max_length}
        return {"anyOf": [filled, {"type": "string", "maxLength": 0}]}


@dataclass(frozen=True, slots=True)
class Email(BodyField):
    """An email address."""

    max_length: int = 254

    def parse(self, value: Any, _context: BodyContext) -> str:
        """Return the address without surrounding white space."""
        text = _text(value, _NOT_A_STRING)
        if not text:
            raise FieldError(BLANK)
        errors = _text_errors(text, self.max_length)
        try:
            is_bare = not errors and Mailbox.parse(text).name == "" and "<" not in text
        except InvalidAddress:
            is_bare = False
        if not is_bare:
            errors.append(_INVALID_EMAIL)
        _raise_errors(errors)
        return text

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of an email address."""
        return {"type": "string", "format": "email", "maxLength": self.max_length}


@dataclass(frozen=True, slots=True)
class Choice(BodyField):
    """One of the values of an enumeration, whose name is that of the component."""

    choices: type[StrEnum]

    def parse(self, value: Any, _context: BodyContext) -> StrEnum:
        """Return the member of the enumeration."""
        if isinstance(value, str):
            _raise_errors(_character_errors(value))  # the message below has the value
        try:
            return self.choices(value)
        except ValueError:
            raise FieldError(f'"{value}" is not a valid choice.') from None

    def schema(self) -> dict[str, Any] | type:
        """Return the enumeration."""
        return self.choices


@dataclass(frozen=True, slots=True)
class Boolean(BodyField):
    """True or false, also as a number or a text."""

    null_texts: ClassVar[frozenset[str]] = frozenset({"", "null", "Null", "NULL"})

    def parse(self, value: Any, _context: BodyContext) -> bool:
        """Return the boolean."""
        text = str(value).lower() if isinstance(value, str | int) else ""
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise FieldError("Must be a valid boolean.")

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Date(BodyField):
    """A date `YYYY-MM-DD`."""

    def parse(self, value: Any, _context: BodyContext) -> date:
        """Return the date."""
        if isinstance(value, str):
            try:
                return parse_iso_date(value)
            except ValueError:
                pass
        raise FieldError(_INVALID_DATE)

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a date."""
        return {"type": "string", "format": "date"}


@dataclass(frozen=True, slots=True)
class Timestamp(BodyField):
    """A date and time, in UTC if it has no offset. A date alone is its first moment."""

    def parse(self, value: Any, _context: BodyContext) -> datetime:
        """Return the time in UTC."""
        if isinstance(value, str) and _TIME.fullmatch(value):
            try:
                moment = datetime.fromisoformat(value)
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        raise FieldError(_INVALID_TIME)

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a time."""
        return {"type": "string", "format": "date-time"}


@dataclass(frozen=True, slots=True)
class Uuid(BodyField):
    """A UUID, with or without hyphens."""

    def parse(self, value: Any, _context: BodyContext) -> UUID:
        """Return the UUID."""
        uuid = parse_uuid(value) if isinstance(value, str) else None
        if uuid is None:
            raise FieldError(_INVALID_UUID)
        return uuid

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a UUID."""
        return {"type": "string", "format": "uuid"}


@dataclass(frozen=True, slots=True)
class JsonObject(BodyField):
    """A JSON object with any keys. `documented` is a TypedDict of texts, under the known keys.

    A number counts as its text, and null as a missing one; both are stored unchanged.
    """

    documented: type

    def parse(self, value: Any, _context: BodyContext) -> dict[str, Any]:
        """Return the object, whose texts the database can store."""
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise FieldError(f'Expected a dictionary of items but got type "{kind}".')
        _raise_errors(_content_errors(value))
        for key in self.documented.__annotations__.keys() & value:
            if value[key] is not None:
                _text(value[key], f'"{key}": {_NOT_A_STRING}')
        return value

    def schema(self) -> dict[str, Any] | type:
        """Return the documented type."""
        return self.documented


@dataclass(frozen=True, slots=True)
class File(BodyField):
    """A file of a multipart body, which the context's receiver has."""

    def parse(self, value: Any, context: BodyContext) -> FilePart:
        """Return the part of the file; raises also what the receiver's `check` raises."""
        if not isinstance(value, FilePart) or not value.name or context.files is None:
            raise FieldError(NOT_A_FILE)
        if context.files.count > 1:
            raise FieldError(_SEVERAL_FILES)
        context.files.check()
        return value

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a file."""
        return {"type": "string", "format": "binary"}


def _raise_errors(errors: list[str]) -> None:
    if errors:
        raise FieldError(*errors)


def _text(value: Any, message: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FieldError(message)
    return str(value).strip()


def _text_errors(text: str, max_length: int | None) -> list[str]:
    errors = []
    if max_length is not None and len(text) > max_length:
        errors.append(f"Ensure this field has no more than {max_length} characters.")
    return errors + _character_errors(text)


def _character_errors(text: str) -> list[str]:
    errors = []
    if "\0" in text:
        errors.append("Null characters are not allowed.")
    if surrogate := next((c for c in text if category(c) == "Cs"), None):
        errors.append(f"Surrogate characters are not allowed: U+{ord(surrogate):X}.")
    return errors


def _content_errors(value: Any) -> list[str]:
    """Return the errors of the first text in a JSON value that the database cannot store."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as content:
                waiting += [*content, *content.values()]
            case list() as content:
                waiting += content
            case str() as text:
                if errors := _character_errors(text):
                    return errors
    return []
