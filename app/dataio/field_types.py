"""The types of records' fields: exactly the values that JSON can hold and PostgreSQL can store.

A field accepts Python values of its type, and the one form that the type has in JSON. The
validators raise ValueError, which Pydantic requires, also for a value of a wrong type.
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
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from app.billing.party_details import (
    check_endpoint_scheme,
    check_registration_scheme,
    check_tax_category,
    check_tax_exemption_code,
)
from app.customers.languages import parse_language_tag
from app.dataio.json_objects import StorableObject
from app.formats import parse_iso_date
from app.urls import is_web_url

_AMOUNT = re.compile(r"-?[0-9]{1,26}(\.[0-9]+)?")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_NO_NUL = r"^[^\x00]*$"


def _parse_amount(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    raise ValueError('an amount must be a string like "12.50"')


def _plain_amount(whole: int, places: int) -> WrapValidator:
    """Return a validator that reads an amount which fits by its digits alone, which is faster."""
    matches = re.compile(rf"-?[0-9]{{1,{whole}}}(\.[0-9]{{1,{places}}})?").fullmatch

    def read(value: object, validate: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, str) and matches(value):
            return Decimal(value)
        return validate(value)

    return WrapValidator(read)


def _parse_time(value: object, validate: ValidatorFunctionWrapHandler) -> datetime:
    if isinstance(value, str) and _TIME.fullmatch(value):
        value = datetime.fromisoformat(value)
        if value.tzinfo is UTC:
            return value
    if not isinstance(value, datetime):
        raise ValueError("a time must be a string like 2026-11-01T00:00:00Z")
    moment: datetime = validate(value)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


def _parse_date(value: object) -> date:
    if isinstance(value, str):
        return parse_iso_date(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError("a date must be a string like 2026-11-01")
    return value


def _check_web_address(value: str) -> str:
    if value and not is_web_url(value):
        raise ValueError("must be a URL like https://pay.example.com/1")
    return value


def _check_language(tag: str) -> str:
    if tag:
        parse_language_tag(tag)
    return tag


def _parse_network(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, str) and "%" not in value:
        return ip_network(value)
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value
    raise ValueError("a network must be a string like 192.0.2.0/24 or 2001:db8::/32")


Text = Annotated[str, StringConstraints(pattern=_NO_NUL)]
"""Text of any length without NUL, which PostgreSQL cannot store."""
WebAddress = Annotated[Text, AfterValidator(_check_web_address)]
"""Empty, or a URL with the scheme http, https, ftp or ftps and no white space."""
RegistrationScheme = Annotated[Text, AfterValidator(check_registration_scheme)]
EndpointScheme = Annotated[Text, AfterValidator(check_endpoint_scheme)]
TaxCategory = Annotated[Text, AfterValidator(check_tax_category)]
TaxExemptionCode = Annotated[Text, AfterValidator(check_tax_exemption_code)]
LanguageTag = Annotated[Text, AfterValidator(_check_language)]
"""Empty, or the tag of a language that has a locale."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""In lower case hexadecimal."""
MediaType = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]+$")]
Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
"""In the standard alphabet, with padding and without line breaks."""

Time = Annotated[AwareDatetime, WrapValidator(_parse_time)]
"""A time with an offset, to microseconds, which is converted to UTC."""
Day = Annotated[date, BeforeValidator(_parse_date)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_parse_network)]
JsonObject = Annotated[dict[str, Any], AfterValidator(StorableObject)]
"""Any JSON object with finite numbers. A number with a fraction may be a Decimal."""

_PARSE = BeforeValidator(_parse_amount)
_FORMAT = PlainSerializer(lambda value: f"{value:f}", str, when_used="json")  # never an exponent
# Limits before the validators are part of Pydantic's own decimal; after them they are functions.
Amount10 = Annotated[
    Decimal, Field(max_digits=22, decimal_places=10), _PARSE, _FORMAT, _plain_amount(12, 10)
]
"""Money or a quantity, with up to 12 digits before the point and 10 after it."""
Balance = Annotated[Decimal, _PARSE, _FORMAT, Field(ge=0, max_digits=16, decimal_places=5)]
"""Money that is not negative, with up to 11 digits before the point and 5 after it."""
Amount5 = Annotated[Decimal, Field(max_digits=16, decimal_places=5), _PARSE, _FORMAT]
"""Money with up to 11 digits before the point and 5 after it."""
Amount4 = Annotated[
    Decimal, Field(max_digits=30, decimal_places=4), _PARSE, _FORMAT, _plain_amount(26, 4)
]
"""Money in a currency. No currency has more than 4 decimals; the loader checks the number that the
deployment's currency has."""
Percent = Annotated[Decimal, _PARSE, _FORMAT, Field(ge=0, max_digits=5, decimal_places=2)]
"""A percentage from 0 to below 1000: "20" is 20 %."""
FeePercent = Annotated[
    Decimal, _PARSE, _FORMAT, Field(ge=0, le=100, max_digits=8, decimal_places=5)
]
"""A percentage from 0 to 100 with up to 5 decimals."""
WholePercent = Annotated[
    Decimal, _PARSE, _FORMAT, Field(ge=0, le=100, max_digits=3, decimal_places=0)
]
"""A percentage from 0 to 100 without decimals."""
