"""CSV files (RFC 4180) that spreadsheets open right: UTF-8 with a byte order mark."""

import csv
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from io import TextIOWrapper
from typing import BinaryIO, Final

from app.billing.currencies import Currency
from app.billing.money import round_half_even
from app.reports.rendering.columns import Cell, CellKind, Column

_FORMULA_STARTS: Final = tuple("=+-@\t\r")
"""First characters of texts that spreadsheets take for formulas."""


class CsvFile:
    """A CSV file that is being written."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column], currency: Currency) -> None:
        self._kinds = [column.kind for column in columns]
        self._currency = currency
        self._text = TextIOWrapper(file, "utf-8-sig", newline="")
        self._writer = csv.writer(self._text)
        self._writer.writerow([column.name for column in columns])

    def write(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Write rows of a cell for each column."""
        self._writer.writerows(
            [self._format(cell, kind) for cell, kind in zip(row, self._kinds, strict=True)]
            for row in rows
        )

    def close(self) -> None:
        """Write the rest. The underlying file stays open."""
        self._text.flush()
        self._text.detach()

    def _format(self, cell: Cell, kind: CellKind) -> str:
        if cell is None:
            return ""
        if kind is CellKind.TEXT:
            return escape_formula(str(cell))
        if isinstance(cell, date):
            return cell.isoformat()
        if isinstance(cell, Decimal):
            if kind is CellKind.AMOUNT:
                return f"{round_half_even(cell, self._currency):f}"
            return plain_number(cell)
        return str(cell)


def escape_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe marks it as text."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def plain_number(number: Decimal) -> str:
    """Return a number without an exponent and without trailing zeros after the point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
