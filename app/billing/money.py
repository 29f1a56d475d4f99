"""How amounts are computed and rounded. Every amount is a Decimal in the deployment's one currency.

A Decimal knows a negative zero, which no amount is: what comes to zero has no sign here.
"""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal

from app.billing.currencies import Currency

# numeric(22,10) times numeric(22,10) has up to 44 digits; the default context keeps 28.
EXACT = Context(prec=80)
_HUNDRED = Decimal(100)


def quantize(amount: Decimal, unit: Decimal, rounding: str) -> Decimal:
    """Round to as many decimals as `unit` has, in one of the ways of the module decimal."""
    rounded = amount.quantize(unit, rounding=rounding, context=EXACT)
    return rounded or abs(rounded)


def round_away_from_zero(amount: Decimal, currency: Currency) -> Decimal:
    """Round to the smallest unit, away from zero: with cents 0.001 becomes 0.01, -0.001 -0.01."""
    return quantize(amount, currency.smallest_unit, ROUND_UP)


def round_half_up(amount: Decimal, currency: Currency) -> Decimal:
    """Round to the smallest unit, halves away from zero: with cents 0.005 becomes 0.01."""
    return quantize(amount, currency.smallest_unit, ROUND_HALF_UP)


def round_half_even(amount: Decimal, currency: Currency) -> Decimal:
    """Round to the smallest unit, halves to the even one: with cents 0.005 becomes 0.00."""
    return quantize(amount, currency.smallest_unit, ROUND_HALF_EVEN)


def fits_smallest_unit(amount: Decimal, currency: Currency) -> bool:
    """Tell whether an amount is a whole number of the currency's smallest units."""
    return round_half_even(amount, currency) == amount


def item_price(unit_price: Decimal, quantity: Decimal, currency: Currency) -> Decimal:
    """Return the price of a line item without tax, where nothing else gives it.

    It is the product, rounded away from zero to the currency's smallest unit.
    """
    return round_away_from_zero(EXACT.multiply(unit_price, quantity), currency)


def is_near_product(
    price: Decimal, unit_price: Decimal, quantity: Decimal, currency: Currency
) -> bool:
    """Tell whether a price is within one smallest unit of unit price times quantity.

    No price of a line item is further from it, also where an import gives it.
    """
    exact = EXACT.multiply(unit_price, quantity)
    return abs(EXACT.subtract(price, exact)) <= currency.smallest_unit


def tax_on(price: Decimal, tax_percent: Decimal) -> Decimal:
    """Return the tax on a price, not rounded; `tax_percent` is of 100."""
    tax = EXACT.divide(EXACT.multiply(price, tax_percent), _HUNDRED)
    return tax or abs(tax)


def with_tax(price: Decimal, tax_percent: Decimal) -> Decimal:
    """Return the price with its tax, not rounded."""
    return EXACT.add(price, tax_on(price, tax_percent))
