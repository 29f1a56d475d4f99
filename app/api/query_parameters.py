"""Query parameters: their types, and the dependency that parses them.

A model holds the parameters of an operation. All invalid parameters are reported together, with the
messages of Django REST framework. An empty value counts as absent, unless the parameter is marked
with `EMPTY_COUNTS`. If a single-valued parameter is repeated, its last value counts.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Generic, TypeVar, get_origin
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.api.schema_config import DOCUMENTED
from app.formats import NIL_UUID, UUID_FORMAT, find_uuid, parse_uuid

_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?"
)
_INT64_DIGITS: Final = 18
_INTEGER: Final = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_BEYOND_AMOUNTS: Final = Decimal("1E40")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
EMPTY_COUNTS: Final = object()
"""Marks, in an annotation, a parameter whose empty value does not count as absent."""


class QueryParameters(BaseModel):
    """The parameters of an operation, documented by the docstrings of the fields."""

    model_config = ConfigDict(**DOCUMENTED, frozen=True)


Parameters = TypeVar("Parameters", bound=QueryParameters)


class QueryParser(Generic[Parameters]):
    """A dependency that parses the query into a model.

    The fields of the base model `hidden` are left out of the OpenAPI document.

    FastAPI's query models take more than ten times as long for a list request, see decision 7.
    """

    def __init__(
        self, model: type[Parameters], *, hidden: type[QueryParameters] = QueryParameters
    ) -> None:
        fields = model.model_fields
        self._model = model
        self._hidden = hidden.model_fields.keys()
        self._repeated = [name for name in fields if get_origin(fields[name].annotation) is tuple]
        self._empty_counts = {name for name in fields if EMPTY_COUNTS in fields[name].metadata}

    async def __call__(self, request: Request) -> Parameters:
        """Return the parameters of a request. Raises RequestValidationError."""
        query = request.query_params
        values: dict[str, Any] = {
            name: value for name, value in query.items() if value or name in self._empty_counts
        }
        for name in self._repeated:
            if name in query:
                values[name] = query.getlist(name)
        try:
            return self._model.model_validate(values)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False)) from None

    def documentation(self) -> Iterator[dict[str, Any]]:
        """Yield the OpenAPI parameter objects."""
        schema = self._model.model_json_schema()
        for name, field in schema["properties"].items():
            if name in self._hidden:
                continue
            required = name in schema.get("required", ())
            parameter: dict[str, Any] = {"name": name, "in": "query", "required": required}
            if not required and name not in self._empty_counts:
                parameter["allowEmptyValue"] = True
            for key in ("description", "style", "explode"):
                if key in field:
                    parameter[key] = field.pop(key)
            if examples := field.pop("examples", None):
                parameter |= _example(parameter, examples[0])
            # The description states the default, which Python may represent differently.
            hidden = ("title", "default")
            yield parameter | {"schema": {k: v for k, v in field.items() if k not in hidden}}


def _example(parameter: dict[str, Any], value: Any) -> dict[str, Any]:
    """Return the keys that add an example to a parameter.

    The documentation page fills in each `example` and sends it. This suits a required parameter; an
    optional one would become an unwanted filter, so its example is added to the description.
    """
    if parameter["required"]:
        return {"example": value}
    text = str(value).lower() if isinstance(value, bool) else value
    query = urlencode({parameter["name"]: text}, doseq=True, safe=":/")
    return {"description": f"{parameter['description'].rstrip('.')}. For example `{query}`."}


def invalid(message: str) -> PydanticCustomError:
    """Return the error with this message, for a validator to raise."""
    return PydanticCustomError("invalid", "{message}", {"message": message})


def parse_integer(text: str) -> int:
    """Return the integer of decimal digits with an optional sign.

    An integer of more than 64 bits is truncated to a larger one than 64 bits hold, because the
    conversion of many digits takes long.
    """
    digits = text.lstrip("+-").lstrip("0") or "0"
    number = int(digits[: _INT64_DIGITS + 1])
    return -number if text.startswith("-") else number


def _parse_uuid(text: str) -> UUID:
    uuid = parse_uuid(text.strip())
    if uuid is None:
        raise invalid("Enter a valid UUID.")
    return uuid


def _parse_link(text: str) -> UUID:
    return find_uuid(text) or NIL_UUID


def _parse_date(text: str) -> date:
    matched = _DATE.fullmatch(text.strip())
    try:
        if matched:
            return date(*(int(part) for part in matched.groups()))
    except ValueError:
        pass
    raise invalid("Enter a valid date.")


def _parse_time(text: str) -> datetime:
    # A plus sign that was not percent-encoded arrives as a space.
    text = re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", text.strip())
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid("Enter a valid date/time.") from None


def _parse_decimal(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text.strip()):
        raise invalid("Enter a number.")
    value = Decimal(text.strip())
    # Numbers larger than any amount need not be exact.
    return value if abs(value) < _BEYOND_AMOUNTS else _BEYOND_AMOUNTS.copy_sign(value)


def _parse_integer(text: str) -> int:
    text = text.strip()
    if not _INTEGER.fullmatch(text):
        raise invalid("Enter a whole number." if _NUMBER.fullmatch(text) else "Enter a number.")
    return parse_integer(text.split(".")[0])


def _parse_boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise invalid("Must be a valid boolean.")
    return value


def _check_text(text: str) -> str:
    if "\0" in text:
        raise invalid("Null characters are not allowed.")
    return text


QueryUuid = Annotated[
    UUID | None, PlainValidator(_parse_uuid), WithJsonSchema({"type": "string", "format": "uuid"})
]
RequiredUuid = Annotated[
    UUID, PlainValidator(_parse_uuid), WithJsonSchema({"type": "string", "format": "uuid"})
]
QueryLink = Annotated[
    UUID | None, PlainValidator(_parse_link), WithJsonSchema({"type": "string", "format": "uri"})
]
"""The URL of a record, of which the UUID counts; the nil UUID, of no record, if it has none."""
QueryUuidText = Annotated[
    UUID | None,
    PlainValidator(_parse_uuid),
    WithJsonSchema({"type": "string", "pattern": f"^(?:{UUID_FORMAT.pattern})$"}),
]
"""A UUID that the API documents as a string."""
QueryDate = Annotated[
    date | None, PlainValidator(_parse_date), WithJsonSchema({"type": "string", "format": "date"})
]
RequiredTime = Annotated[datetime, PlainValidator(_parse_time), WithJsonSchema({"type": "string"})]
"""An ISO 8601 time, in UTC if it has no offset."""
QueryTime = Annotated[
    datetime | None, PlainValidator(_parse_time), WithJsonSchema({"type": "string"})
]
QueryDecimal = Annotated[
    Decimal | None, PlainValidator(_parse_decimal), WithJsonSchema({"type": "number"})
]
QueryInteger = Annotated[
    int | None, PlainValidator(_parse_integer), WithJsonSchema({"type": "integer"})
]
QueryBoolean = Annotated[
    bool | None, PlainValidator(_parse_boolean), WithJsonSchema({"type": "boolean"})
]
QueryText = Annotated[str | None, PlainValidator(_check_text), WithJsonSchema({"type": "string"})]


def choices(allowed: Iterable[str]) -> PlainValidator:
    """Return the validator of a repeated parameter that takes the allowed values."""
    known = frozenset(allowed)
    return PlainValidator(lambda values: tuple(_check_choice(value, known) for value in values))


def choice(allowed: Iterable[str]) -> PlainValidator:
    """Return the validator of a parameter that takes one of the allowed values."""
    known = frozenset(allowed)
    return PlainValidator(lambda value: _check_choice(value, known))


def order(allowed: Iterable[str]) -> PlainValidator:
    """Return the validator of an order by one of the allowed fields."""
    known = frozenset(allowed)
    return PlainValidator(lambda value: _check_order(value, known) or None)


def orders(allowed: Iterable[str]) -> PlainValidator:
    """Return the validator of an order by several fields, repeated or separated by commas."""
    known = frozenset(allowed)

    def validate(values: list[str]) -> tuple[str, ...]:
        fields = (_check_order(field, known) for value in values for field in value.split(","))
        return tuple(filter(None, fields))

    return PlainValidator(validate)


def _check_choice(value: str, known: frozenset[str]) -> str:
    if value not in known:
        raise invalid(f"Select a valid choice. {value} is not one of the available choices.")
    return value


def _check_order(value: str, known: frozenset[str]) -> str:
    """Return the value without surrounding white space. An empty value is no order."""
    value = value.strip()
    return value and _check_choice(value, known)
