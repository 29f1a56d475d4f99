"""The rules of credit notes: parts of items that are given back, and the tax on them.

A credit note has the signs of its invoice: it gives a charge back by a positive amount, and takes a
compensation back by a negative one.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from uuid import UUID

from app.billing import money
from app.billing.currencies import Currency

_TEN_DECIMALS: Final = Decimal("1E-10")
_ONE: Final = Decimal(1)


class InvalidPart(ValueError):
    """The quantity or price is zero or has the other sign, or the part costs nothing."""


class MoreThanLeft(ValueError):
    """The part is larger than the part that earlier credit notes have left."""


@dataclass(frozen=True, slots=True)
class ItemRest:
    """The part of an item that no credit note has given back."""

    item: UUID
    unit_price: Decimal
    quantity: Decimal
    price: Decimal
    """Without tax; not zero."""


@dataclass(frozen=True, slots=True)
class CreditedLine:
    """A line of a credit note."""

    item: UUID
    taken: Decimal
    """The part of the item's quantity."""
    quantity: Decimal
    """As printed. Quantity times unit price is at most one smallest unit away from the price."""
    unit_price: Decimal
    price: Decimal


def credit_whole(rest: ItemRest, currency: Currency) -> CreditedLine:
    """Return the line that gives back all that is left of an item."""
    return _line(rest, rest.quantity, rest.price, currency)


def credit_quantity(rest: ItemRest, quantity: Decimal, currency: Currency) -> CreditedLine:
    """Return the line that gives a quantity back, at the price of the item.

    Raises `InvalidPart` and `MoreThanLeft`.
    """
    _require_part(quantity, rest.quantity)
    if quantity == rest.quantity:
        return credit_whole(rest, currency)
    price = _limited(money.item_price(rest.unit_price, quantity, currency), rest.price)
    if not price:
        raise InvalidPart
    return _line(rest, quantity, price, currency)


def credit_price(rest: ItemRest, price: Decimal, currency: Currency) -> CreditedLine:
    """Return the line that gives a sum without tax back, as a part of the quantity.

    Raises `InvalidPart` and `MoreThanLeft`.
    """
    _require_part(price, rest.price)
    if price == rest.price:
        return credit_whole(rest, currency)
    taken = _limited(_quotient(price, rest.unit_price), rest.quantity)
    return _line(rest, taken, price, currency)


@dataclass(frozen=True, slots=True)
class InvoiceRest:
    """The sums of an invoice less those of its credit notes."""

    net: Decimal
    gross: Decimal
    """With tax."""


def credited_gross(
    net: Decimal, rest: InvoiceRest, tax_percent: Decimal, currency: Currency
) -> Decimal:
    """Return the sum with tax of a credit note.

    The tax is rounded once. The note that gives back the rest of the sum without tax takes the rest
    with tax, so that the notes of an invoice add up to its total. No note exceeds the rest.

    Raises `MoreThanLeft` if the sum without tax exceeds the rest, or has the other sign.
    """
    if net == rest.net:
        return rest.gross
    if _limited(net, rest.net) != net:
        raise MoreThanLeft
    rounded = money.round_half_up(money.with_tax(net, tax_percent), currency)
    return _limited(rounded, rest.gross)


def _require_part(part: Decimal, whole: Decimal) -> None:
    if not part or (part < 0) != (whole < 0):
        raise InvalidPart
    if abs(part) > abs(whole):
        raise MoreThanLeft


def _limited(value: Decimal, limit: Decimal) -> Decimal:
    """Return the value nearest to `value` that lies between zero and a limit."""
    return min(max(value, min(limit, Decimal(0))), max(limit, Decimal(0)))


def _quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    if not divisor:
        return Decimal(0)
    return money.quantize(money.EXACT.divide(dividend, divisor), _TEN_DECIMALS, ROUND_HALF_EVEN)


def _line(rest: ItemRest, taken: Decimal, price: Decimal, currency: Currency) -> CreditedLine:
    """Return a line whose price is near its quantity times its unit price.

    Prices of parts are rounded, so that the last part may be off. It then has a unit price of its
    own.
    """
    for unit_price in (rest.unit_price, _quotient(price, taken)):
        if money.is_near_product(price, unit_price, taken, currency):
            return CreditedLine(rest.item, taken, taken, unit_price, price)
    return CreditedLine(rest.item, taken, _ONE, price, price)
