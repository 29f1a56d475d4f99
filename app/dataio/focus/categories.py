"""The kinds of charges that FOCUS knows."""

from app.dataio.focus import cells

USAGE = "Usage"
PURCHASE = "Purchase"
TAX = "Tax"
CREDIT = "Credit"
ADJUSTMENT = "Adjustment"
CORRECTION = "Correction"
_CATEGORIES = {name: name for name in (USAGE, PURCHASE, TAX, CREDIT, ADJUSTMENT)}
_IN_ANY_CASE = {name.casefold(): name for name in _CATEGORIES}


def category_of(cell: str) -> str:
    """Return a charge's category as FOCUS spells it.

    Raises ValueError for any other: FOCUS allows these alone, and whether a charge is a tax or a
    credit decides how it is billed.
    """
    if cell in _CATEGORIES:
        return cell
    value = cells.text(cell)
    if not value:
        raise ValueError("is empty")
    known = _IN_ANY_CASE.get(value.casefold())
    if known is None:
        raise ValueError(f"is none of {', '.join(_CATEGORIES)}: {cells.quoted(value)}")
    return known


def class_of(cell: str) -> str:
    """Return `Correction`, as FOCUS spells it, or nothing for a charge that is none.

    Raises ValueError for anything else, which FOCUS does not allow.
    """
    if not cell or cell == "NULL":
        return ""
    value = cells.text(cell)
    if value and value.casefold() != CORRECTION.casefold():
        raise ValueError(f"is neither {CORRECTION} nor empty: {cells.quoted(value)}")
    return CORRECTION if value else ""
