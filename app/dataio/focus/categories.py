"""The charge categories and classes of FOCUS."""

from app.dataio.focus import cells

USAGE = "Usage"
PURCHASE = "Purchase"
TAX = "Tax"
CREDIT = "Credit"
ADJUSTMENT = "Adjustment"
CORRECTION = "Correction"
_CATEGORIES = {name: name for name in (USAGE, PURCHASE, TAX, CREDIT, ADJUSTMENT)}
_CATEGORY_BY_LOWER_CASE = {name.casefold(): name for name in _CATEGORIES}


def parse_charge_category(cell: str) -> str:
    """Return a charge category in the spelling of FOCUS, whatever its case.

    Raises ValueError for every other category: FOCUS allows only these, and the category decides
    whether a charge is billed as a tax or a credit.
    """
    if cell in _CATEGORIES:
        return cell
    value = cells.parse_required_text(cell)
    category = _CATEGORY_BY_LOWER_CASE.get(value.casefold())
    if category is None:
        raise ValueError(f"is none of {', '.join(_CATEGORIES)}: {cells.quote(value)}")
    return category


def parse_charge_class(cell: str) -> str:
    """Return `Correction`, or an empty text for a charge that is not a correction.

    Raises ValueError for every other class, which FOCUS does not allow.
    """
    if not cell or cell == "NULL":
        return ""
    value = cells.parse_text(cell)
    if value and value.casefold() != CORRECTION.casefold():
        raise ValueError(f"is neither {CORRECTION} nor empty: {cells.quote(value)}")
    return CORRECTION if value else ""
