"""The numbers of request bodies, as fields like those of `body_fields`."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from app.api.request_model import BodyContext, BodyField, FieldError
from app.api.serializers import AMOUNT, decimal_pattern

_INVALID_NUMBER: Final = "A valid number is required."
_INVALID_INTEGER: Final = "A valid integer is required."
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.0*)?")
_NUMBER_MAX_LENGTH: Final = 1000


@dataclass(frozen=True, slots=True)
class Integer(BodyField):
    """A whole number, also as a text."""

    minimum: int
    maximum: int

    def parse(self, value: Any, _context: BodyContext) -> int:
        """Return the integer."""
        text = str(value).strip() if isinstance(value, str | int | float) else ""
        if isinstance(value, bool) or not _INTEGER.fullmatch(text):
            raise FieldError(_INVALID_INTEGER)
        number = int(text.split(".")[0])
        _check_range(number, self.minimum, self.maximum)
        return number

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of an integer."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class DecimalNumber(BodyField):
    """An exact number, as a text or a JSON number."""

    max_digits: int
    """Digits in total."""
    decimals: int
    """Digits after the decimal point."""
    minimum: Decimal | None = None
    maximum: Decimal | None = None

    def parse(self, value: Any, _context: BodyContext) -> Decimal:
        """Return the number."""
        number = _decimal(value, self.max_digits, self.decimals)
        _check_range(number, self.minimum, self.maximum)
        return number

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a decimal string."""
        pattern = decimal_pattern(self.max_digits - self.decimals, self.decimals)
        return {"type": "string", "format": "decimal", "pattern": pattern}


@dataclass(frozen=True, slots=True)
class AmountNumber(BodyField):
    """An amount of money, with at most the decimals of the currency."""

    max_digits: int
    """Digits in total, in a currency with two decimals."""

    def parse(self, value: Any, context: BodyContext) -> Decimal:
        """Return the amount."""
        return _decimal(value, self.max_digits - 2 + context.decimals, context.decimals)

    def schema(self) -> dict[str, Any] | type:
        """Return the schema of a decimal string; the OpenAPI document adapts it to the currency."""
        pattern = decimal_pattern(self.max_digits - 2, 2)
        return {"type": "string", "format": "decimal", "pattern": pattern, AMOUNT: True}


def _check_range(number: Any, minimum: Any, maximum: Any) -> None:
    if maximum is not None and number > maximum:
        raise FieldError(f"Ensure this value is less than or equal to {maximum}.")
    if minimum is not None and number < minimum:
        raise FieldError(f"Ensure this value is greater than or equal to {minimum}.")


def _decimal(value: Any, max_digits: int, decimals: int) -> Decimal:
    """Return an exact number with so many digits at most; of the errors, the first counts."""
    text = str(value).strip() if isinstance(value, str | int | float) else ""
    if len(text) > _NUMBER_MAX_LENGTH:
        raise FieldError("String value too large.")
    if isinstance(value, bool) or not _NUMBER.fullmatch(text):
        raise FieldError(_INVALID_NUMBER)
    number = Decimal(text)
    _sign, digits, exponent = number.as_tuple()
    places = max(0, -int(exponent))
    whole = max(0, len(digits) + int(exponent))
    if not number:
        whole = min(whole, 1)
    if whole + places > max_digits:
        raise FieldError(f"Ensure that there are no more than {max_digits} digits in total.")
    if places > decimals:
        raise FieldError(f"Ensure that there are no more than {decimals} decimal places.")
    if whole > max_digits - decimals:
        raise FieldError(
            f"Ensure that there are no more than {max_digits - decimals} digits before the"
            " decimal point."
        )
    return number.quantize(Decimal(1).scaleb(-decimals)) + 0  # a negative zero becomes zero
