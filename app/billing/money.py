"""Computing and rounding amounts. Every amount is a Decimal in the one currency of the deployment.

A Decimal can be a negative zero, but an amount cannot: results of zero have no sign.
"""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal

from app.billing.currencies import Currency

# numeric(22,10) times numeric(22,10) has up to 44 digits; the default context keeps 28.
EXACT = Context(prec=80)
_HUNDRED = Decimal(100)


def quantize(amount: Decimal, unit: Decimal, rounding: str) -> Decimal:
    """Round to the decimals of `unit`, with a rounding mode of the module `decimal`."""
    rounded = amount.quantize(unit, rounding=rounding, context=EXACT)
    return rounded or abs(rounded)


def round_away_from_zero(amount: Decimal, currency: Currency) -> Decimal:
    """Round away from zero to the smallest unit: with cents 0.001 becomes 0.01, -0.001 -0.01."""
    return quantize(amount, currency.smallest_unit, ROUND_UP)


def round_half_up(amount: Decimal, currency: Currency) -> Decimal:
    """Round half away from zero to the smallest unit: with cents 0.005 becomes 0.01."""
    return quantize(amount, currency.smallest_unit, ROUND_HALF_UP)


def round_half_even(amount: Decimal, currency: Currency) -> Decimal:
    """Round half to even, to the smallest unit: with cents 0.005 becomes 0.00."""
    return quantize(amount, currency.smallest_unit, ROUND_HALF_EVEN)


def fits_smallest_unit(amount: Decimal, currency: Currency) -> bool:
    """Return whether an amount is a multiple of the currency's smallest unit."""
    return round_half_even(amount, currency) == amount


def item_price(unit_price: Decimal, quantity: Decimal, currency: Currency) -> Decimal:
    """Return the price of a line item without tax, unless an import gives it.

    It is unit price times quantity, rounded away from zero to the currency's smallest unit.
    """
    return round_away_from_zero(EXACT.multiply(unit_price, quantity), currency)


def is_near_product(
    price: Decimal, unit_price: Decimal, quantity: Decimal, currency: Currency
) -> bool:
    """Return whether a price is within one smallest unit of unit price times quantity.

    This holds for every price of a line item, including prices that an import gives.
    """
    exact = EXACT.multiply(unit_price, quantity)
    return abs(EXACT.subtract(price, exact)) <= currency.smallest_unit


def tax_on(price: Decimal, tax_percent: Decimal) -> Decimal:
    """Return the tax on a price, not rounded; a `tax_percent` of 20 stands for 20 %."""
    tax = EXACT.divide(EXACT.multiply(price, tax_percent), _HUNDRED)
    return tax or abs(tax)


def with_tax(price: Decimal, tax_percent: Decimal) -> Decimal:
    """Return the price with its tax, not rounded."""
    return EXACT.add(price, tax_on(price, tax_percent))
