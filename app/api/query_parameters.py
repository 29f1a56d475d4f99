"""Query parameters: read all at once, told apart and refused in Django REST framework's words.

An operation names one class of parameters; what is wrong with any of them is answered together.
Empty values count as absent, unless a parameter is marked with `EMPTY_IS_READ`; of a repeated
single-valued parameter the last counts.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Generic, TypeVar, get_origin
from uuid import UUID

from fastapi import Request
from pydantic import (
    BaseModel,
    ConfigDict,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError
from starlette.datastructures import QueryParams

from app.api.errors import REQUIRED, InvalidFields
from app.formats import UUID_FORMAT, parse_integer, parse_uuid

_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?"
)
_WHOLE = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_BEYOND_AMOUNTS = Decimal("1E40")


class QueryParameters(BaseModel):
    """What an operation reads of the query; the docstrings of its fields document it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


EMPTY_IS_READ: Final = object()
"""Marks a parameter, in its annotation, whose empty value is read as any other value is."""

Parameters = TypeVar("Parameters", bound=QueryParameters)


class FromQuery(Generic[Parameters]):
    """A dependency that reads a class of parameters.

    Those of the class `hidden`, a base of it, are accepted but not documented.
    """

    def __init__(
        self, model: type[Parameters], *, hidden: type[QueryParameters] = QueryParameters
    ) -> None:
        self.model = model
        self.undocumented = frozenset(hidden.model_fields)
        self._repeated = {
            name: get_origin(field.annotation) is tuple
            for name, field in model.model_fields.items()
        }
        self.reading_empty = frozenset(
            name for name, field in model.model_fields.items() if EMPTY_IS_READ in field.metadata
        )

    async def __call__(self, request: Request) -> Parameters:
        """Return what the query says.

        Raises InvalidFields with each parameter that is wrong.
        """
        return self.read(request.query_params)

    def read(self, query: QueryParams) -> Parameters:
        """Return what a query says; raises InvalidFields."""
        values: dict[str, Any] = {}
        for name, repeated in self._repeated.items():
            given = query.getlist(name)
            if not repeated:
                given = given[-1:]
            if name not in self.reading_empty:
                given = [value for value in given if value]
            if given:
                values[name] = given if repeated else given[0]
        try:
            return self.model.model_validate(values)
        except ValidationError as error:
            raise InvalidFields(_messages(error)) from None


def _messages(error: ValidationError) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        message = REQUIRED if problem["type"] == "missing" else problem["msg"]
        fields.setdefault(str(problem["loc"][0]), []).append(message)
    return fields


def refused(message: str) -> PydanticCustomError:
    """Return the error that refuses a value, to be raised in a validator."""
    return PydanticCustomError("refused", "{message}", {"message": message})


def _uuid(text: str) -> UUID:
    uuid = parse_uuid(text.strip())
    if uuid is None:
        raise refused("Enter a valid UUID.")
    return uuid


def _date(text: str) -> date:
    matched = _DATE.fullmatch(text.strip())
    try:
        if matched:
            return date(*(int(part) for part in matched.groups()))
    except ValueError:
        pass
    raise refused("Enter a valid date.")


def _time(text: str) -> datetime:
    # A plus sign that was not escaped arrives as a space.
    given = re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", text.strip())
    try:
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise refused("Enter a valid date/time.") from None


def _decimal(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text.strip()):
        raise refused("Enter a number.")
    value = Decimal(text.strip())
    # What no amount reaches need not be exact, only beyond.
    return value if abs(value) < _BEYOND_AMOUNTS else _BEYOND_AMOUNTS.copy_sign(value)


def _whole(text: str) -> int:
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        raise refused("Enter a whole number." if _NUMBER.fullmatch(text) else "Enter a number.")
    return parse_integer(text.split(".")[0])


def _flag(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.strip().lower() not in known:
        raise refused("Must be a valid boolean.")
    return known[text.strip().lower()]


def _words(text: str) -> str:
    if "\0" in text:
        raise refused("Null characters are not allowed.")
    return text


QueryUuid = Annotated[
    UUID | None, PlainValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})
]
QueryUuidText = Annotated[
    UUID | None,
    PlainValidator(_uuid),
    WithJsonSchema({"type": "string", "pattern": f"^(?:{UUID_FORMAT.pattern})$"}),
]
"""A UUID that the documentation calls a string."""
QueryDate = Annotated[
    date | None, PlainValidator(_date), WithJsonSchema({"type": "string", "format": "date"})
]
RequiredTime = Annotated[datetime, PlainValidator(_time), WithJsonSchema({"type": "string"})]
"""A moment in ISO 8601; without an offset it is in UTC."""
QueryTime = Annotated[datetime | None, PlainValidator(_time), WithJsonSchema({"type": "string"})]
QueryDecimal = Annotated[
    Decimal | None, PlainValidator(_decimal), WithJsonSchema({"type": "number"})
]
QueryInteger = Annotated[int | None, PlainValidator(_whole), WithJsonSchema({"type": "integer"})]
QueryFlag = Annotated[bool | None, PlainValidator(_flag), WithJsonSchema({"type": "boolean"})]
QueryText = Annotated[str | None, PlainValidator(_words), WithJsonSchema({"type": "string"})]


def _not_available(word: str) -> PydanticCustomError:
    return refused(f"Select a valid choice. {word} is not one of the available choices.")


def choices(allowed: Iterable[str]) -> PlainValidator:
    """Return the validator of a repeated parameter of the given words."""
    words = frozenset(allowed)

    def check(given: list[str]) -> tuple[str, ...]:
        for word in given:
            if word not in words:
                raise _not_available(word)
        return tuple(given)

    return PlainValidator(check)


def order(allowed: Iterable[str]) -> PlainValidator:
    """Return the validator of an order by one of the given words, with white space around it."""
    words = frozenset(allowed)
    return PlainValidator(lambda given: _known(given, words) or None)


def orders(allowed: Iterable[str]) -> PlainValidator:
    """Return the validator of an order by several of the given words, repeated or with commas."""
    words = frozenset(allowed)

    def check(given: list[str]) -> tuple[str, ...]:
        known = (_known(part, words) for value in given for part in value.split(","))
        return tuple(filter(None, known))

    return PlainValidator(check)


def _known(given: str, words: frozenset[str]) -> str:
    word = given.strip()
    if word and word not in words:
        raise _not_available(word)
    return word
