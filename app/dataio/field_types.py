"""The types of a record's fields: what JSON may say and PostgreSQL can store, nothing looser.

Python values of the right type pass; so does the one textual form that JSON has for each. The
validators raise ValueError, as Pydantic asks for, whatever the type of the wrong value.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
)

from app.dataio.jsonl.json_values import Storable
from app.urls import is_web_url

_AMOUNT = re.compile(r"-?[0-9]{1,26}(\.[0-9]+)?")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_NUL = r"^[^\x00]*$"


def _amount(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    raise ValueError('an amount is written as a text, like "12.50"')


def _time(value: object) -> datetime:
    if isinstance(value, str) and _TIME.fullmatch(value):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise ValueError("a time is written like 2026-11-01T00:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


def _date(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        value = date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError("a date is written like 2026-11-01")
    return value


def _web_address(value: str) -> str:
    if value and not is_web_url(value):
        raise ValueError("not a URL like https://pay.example.com/1")
    return value


def _network(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, str) and "%" not in value:
        return ip_network(value)
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value
    raise ValueError("a network is written like 192.0.2.0/24 or 2001:db8::/32")


Text = Annotated[str, StringConstraints(pattern=_NO_NUL)]
"""Text of any length, without NUL, which PostgreSQL does not store."""
Text2 = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=2)]
Text20 = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=20)]
Text30 = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=30)]
Text50 = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=50)]
Text75 = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=75)]
Text150 = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=150)]
WebAddress200 = Annotated[
    str, StringConstraints(pattern=_NO_NUL, max_length=200), AfterValidator(_web_address)
]
"""A URL of scheme http, https, ftp or ftps, or empty; without white space."""
Text255 = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=255)]
Text300 = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=300)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""In lower case hexadecimal."""
MediaType = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]+$")]
Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
"""The standard alphabet, padded, without line breaks."""

Time = Annotated[AwareDatetime, BeforeValidator(_time), AfterValidator(_in_utc)]
"""A moment with its offset, to microseconds; kept in UTC."""
Day = Annotated[date, BeforeValidator(_date)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
JsonObject = Annotated[dict[str, Any], AfterValidator(Storable)]
"""Any JSON object whose numbers are finite; a number with a fraction may be a Decimal."""

_READ = BeforeValidator(_amount)
_WRITE = PlainSerializer(lambda value: f"{value:f}", str, when_used="json")  # never an exponent
# The limits come first, so that they are part of Pydantic's own decimal and not functions after it.
Amount10 = Annotated[Decimal, Field(max_digits=22, decimal_places=10), _READ, _WRITE]
"""Money or a quantity: up to 12 digits before the point and 10 after it."""
Amount5 = Annotated[Decimal, Field(max_digits=16, decimal_places=5), _READ, _WRITE]
Amount4 = Annotated[Decimal, Field(max_digits=30, decimal_places=4), _READ, _WRITE]
"""Money in the smallest units of a currency; none has more than 4 decimals. The loader knows how
many the deployment's has."""
Percent = Annotated[Decimal, _READ, _WRITE, Field(ge=0, max_digits=4, decimal_places=2)]
"""Of 100, below 100; "20" stands for 20 %."""
