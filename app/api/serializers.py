"""The serialized types of response schemas, and the links of a response.

Serialization takes the `Links` of the response as its context, for links and the style of UUIDs.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated
from uuid import UUID

from pydantic import PlainSerializer, SerializationInfo, WithJsonSchema

from app.billing.money import quantize
from app.settings import Settings

_TEN_DECIMALS = Decimal("1E-10")
_FIVE_DECIMALS = Decimal("0.00001")
_TWO_DECIMALS = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Links:
    """The base URLs of the links in one response, and the style of UUIDs."""

    base: str
    """Of this service."""
    platform: str
    """Of customers and resources, which another service may serve."""
    hex_uuids: bool = False
    """Whether UUIDs are sent as 32 hex digits instead of with hyphens."""

    def record(self, collection: str, uuid: UUID, *, platform: bool = False) -> str:
        """Return the link to a record of this service, or of the platform."""
        base = self.platform if platform else self.base
        return f"{base}/api/{collection}/{self.uuid(uuid)}/"

    def uuid(self, value: UUID) -> str:
        """Return a UUID in the style of the response."""
        return value.hex if self.hex_uuids else str(value)


def build_links(settings: Settings, request_base: str = "") -> Links:
    """Return the links of a response; `request_base` is the base URL that the client used."""
    base = str(settings.public_url or request_base)
    return Links(base, str(settings.platform_url or base), settings.wire_uuid_style == "hex")


def _ten_decimals(value: Decimal) -> str:
    return format(quantize(value, _TEN_DECIMALS, ROUND_HALF_EVEN), "f")


def _five_decimals(value: Decimal) -> str:
    return format(quantize(value, _FIVE_DECIMALS, ROUND_HALF_EVEN), "f")


def _two_decimals(value: Decimal) -> str:
    return format(quantize(value, _TWO_DECIMALS, ROUND_HALF_EVEN), "f")


def _uuid(value: UUID, info: SerializationInfo[Links]) -> str:
    return info.context.uuid(value)


DecimalString10 = Annotated[Decimal, PlainSerializer(_ten_decimals, return_type=str)]
"""Exactly ten decimals, without an exponent. Document it with `decimal_schema`."""
DecimalString5 = Annotated[Decimal, PlainSerializer(_five_decimals, return_type=str)]
"""Exactly five decimals, as balances of credits have. Document it with `decimal_schema`."""
DecimalString2 = Annotated[Decimal, PlainSerializer(_two_decimals, return_type=str)]
"""Exactly two decimals, rounded half to even. Document it with `decimal_schema`."""
AmountString = Decimal
"""An amount that is already rounded, with all decimals of the currency. Document it with
`amount_schema`."""
AMOUNT = "x-amount"
"""Marks the schema of an amount, until the OpenAPI document is completed."""
JsonNumber = Annotated[
    Decimal,
    PlainSerializer(float, return_type=float),
    WithJsonSchema({"type": "number", "format": "double"}),
]
"""A JSON number: a float only in the response."""
WireUuid = Annotated[
    UUID,
    PlainSerializer(_uuid, return_type=str),
    WithJsonSchema({"type": "string", "format": "uuid"}),
]
"""A UUID with hyphens, or as 32 hex digits, as WIRE_UUID_STYLE says."""
UtcTimestamp = datetime
"""A time in UTC, written with `Z`, and with microseconds unless they are zero."""


def link(collection: str, *, platform: bool = False, part: str = "") -> object:
    """Return the serializer of a UUID as the link to a record of a collection.

    `part` is the rest of the path of a part of the record, such as `proof/`.
    """

    def write(value: UUID, info: SerializationInfo[Links]) -> str:
        return info.context.record(collection, value, platform=platform) + part

    return PlainSerializer(write, return_type=str)


URI = WithJsonSchema({"type": "string", "format": "uri"})


def text_schema(form: str, max_length: int) -> WithJsonSchema:
    """Return the schema of a text that has a format, or is empty."""
    filled = {"type": "string", "format": form, "maxLength": max_length}
    return WithJsonSchema({"anyOf": [filled, {"type": "string", "maxLength": 0}]})


def decimal_pattern(digits: int, places: int) -> str:
    """Return the pattern of a decimal string, by its digits before and after the point."""
    return rf"^-?\d{{0,{digits}}}" + (rf"(?:\.\d{{0,{places}}})?$" if places else "$")


def decimal_schema(digits: int, places: int) -> WithJsonSchema:
    """Return the schema of a decimal string, by its digits before and after the point."""
    pattern = decimal_pattern(digits, places)
    return WithJsonSchema({"type": "string", "format": "decimal", "pattern": pattern})


def amount_schema(digits: int) -> WithJsonSchema:
    """Return the schema of an `AmountString`. The document adapts the pattern to the currency.

    `digits` is the number of digits before the point for a currency with two decimals.
    """
    schema = {"type": "string", "format": "decimal", "pattern": decimal_pattern(digits, 2)}
    return WithJsonSchema(schema | {AMOUNT: True})
