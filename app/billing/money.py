"""How amounts are computed and rounded. Every amount is a Decimal in the deployment's currency."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal, localcontext

CENT = Decimal("0.01")
# numeric(22,10) times numeric(22,10) has up to 44 digits; the default context keeps 28.
EXACT = Context(prec=80)


def away_from_zero(amount: Decimal) -> Decimal:
    """Round to cents, away from zero: 0.001 becomes 0.01, -0.001 becomes -0.01."""
    return amount.quantize(CENT, rounding=ROUND_UP, context=EXACT)


def half_up(amount: Decimal) -> Decimal:
    """Round to cents, halves away from zero: 0.005 becomes 0.01."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP, context=EXACT)


def half_even(amount: Decimal) -> Decimal:
    """Round to cents, halves to the even cent: 0.005 becomes 0.00, 0.015 becomes 0.02."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN, context=EXACT)


def item_price(unit_price: Decimal, quantity: Decimal) -> Decimal:
    """Return what a line item costs without tax: the product, rounded away from zero to cents."""
    with localcontext(EXACT):
        return away_from_zero(unit_price * quantity)


def tax_on(price: Decimal, tax_percent: Decimal) -> Decimal:
    """Return the tax on a price, not rounded; `tax_percent` is of 100."""
    with localcontext(EXACT):
        return price * tax_percent / 100


def with_tax(price: Decimal, tax_percent: Decimal) -> Decimal:
    """Return the price with its tax, not rounded."""
    with localcontext(EXACT):
        return price + price * tax_percent / 100
