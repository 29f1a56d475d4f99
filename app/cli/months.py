"""Months as arguments of commands."""

import re
from typing import Final

import typer

from app.billing.periods import Period

_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def parse_month(text: str) -> Period:
    """Return the month of a text like `2026-10`; raises `BadParameter`."""
    matched = _MONTH.fullmatch(text)
    if matched is None or matched[1] == "0000":
        raise typer.BadParameter("the month must be like 2026-10")
    return Period(int(matched[1]), int(matched[2]))
