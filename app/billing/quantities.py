"""How quantities of line items are displayed."""

from decimal import Decimal

from app.billing.enums import BillingUnit

_SHARES = {
    BillingUnit.HALF_MONTH: "percents from half a month",
    BillingUnit.MONTH: "percents from a month",
    BillingUnit.QUARTER: "percents from a quarter",
    BillingUnit.QUANTITY: "",
}
_COUNTED = {BillingUnit.HOUR: ("hour", "hours"), BillingUnit.DAY: ("day", "days")}


def whole_factor(quantity: Decimal) -> int | None:
    """Return the quantity as an integer, or None if it is not whole."""
    factor = int(quantity)
    return factor if factor == quantity else None


def displayed_measured_unit(own: str, unit: str, quantity: Decimal) -> str:
    """Return the item's own measured unit, or else the one derived from its billing unit."""
    if own:
        return own
    billing_unit = BillingUnit(unit)
    if billing_unit in _COUNTED:
        one, many = _COUNTED[billing_unit]
        return many if quantity > 1 else one
    return _SHARES[billing_unit]
