"""How amounts are computed and rounded. Every amount is a Decimal in the deployment's currency.

A Decimal knows a negative zero, which no amount is: what comes to zero has no sign here.
"""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal

CENT = Decimal("0.01")
# numeric(22,10) times numeric(22,10) has up to 44 digits; the default context keeps 28.
EXACT = Context(prec=80)
_HUNDRED = Decimal(100)


def quantized(amount: Decimal, unit: Decimal, rounding: str) -> Decimal:
    """Round to as many decimals as `unit` has, in one of the ways of the module decimal."""
    rounded = amount.quantize(unit, rounding=rounding, context=EXACT)
    return rounded or abs(rounded)


def away_from_zero(amount: Decimal) -> Decimal:
    """Round to cents, away from zero: 0.001 becomes 0.01, -0.001 becomes -0.01."""
    return quantized(amount, CENT, ROUND_UP)


def half_up(amount: Decimal) -> Decimal:
    """Round to cents, halves away from zero: 0.005 becomes 0.01."""
    return quantized(amount, CENT, ROUND_HALF_UP)


def half_even(amount: Decimal) -> Decimal:
    """Round to cents, halves to the even cent: 0.005 becomes 0.00, 0.015 becomes 0.02."""
    return quantized(amount, CENT, ROUND_HALF_EVEN)


def item_price(unit_price: Decimal, quantity: Decimal) -> Decimal:
    """Return what a line item costs without tax: the product, rounded away from zero to cents."""
    return away_from_zero(EXACT.multiply(unit_price, quantity))


def tax_on(price: Decimal, tax_percent: Decimal) -> Decimal:
    """Return the tax on a price, not rounded; `tax_percent` is of 100."""
    tax = EXACT.divide(EXACT.multiply(price, tax_percent), _HUNDRED)
    return tax or abs(tax)


def with_tax(price: Decimal, tax_percent: Decimal) -> Decimal:
    """Return the price with its tax, not rounded."""
    return EXACT.add(price, tax_on(price, tax_percent))
