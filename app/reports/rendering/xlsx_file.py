"""XLSX files (ECMA-376), written in constant memory."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, BinaryIO, Final

from xlsxwriter import Workbook  # type: ignore[import-untyped]  # it has no types

from app.billing.currencies import Currency
from app.reports.rendering.columns import Cell, CellKind, Column
from app.reports.rendering.csv_file import plain_number

MAX_SHEET_ROWS: Final = 1_048_576
"""Rows of a sheet, the heading included; further rows are on further sheets."""
_MAX_TEXT: Final = 32_767
"""Characters of a cell; longer texts are cut."""
_EXACT_DIGITS: Final = 15
"""Decimal digits that every number of a spreadsheet keeps."""
_WIDTHS: Final = {
    CellKind.TEXT: 24,
    CellKind.INTEGER: 10,
    CellKind.AMOUNT: 14,
    CellKind.NUMBER: 14,
    CellKind.DATE: 11,
}
_OPTIONS: Final = {"constant_memory": True, "default_date_format": "yyyy-mm-dd"}


class XlsxFile:
    """A workbook that is being written."""

    def __init__(
        self,
        file: BinaryIO,
        columns: Sequence[Column],
        currency: Currency,
        sheet_name: str,
        *,
        max_sheet_rows: int = MAX_SHEET_ROWS,
    ) -> None:
        self._columns = columns
        self._sheet_name = sheet_name
        self._max_sheet_rows = max_sheet_rows
        self._workbook = Workbook(file, _OPTIONS)
        self._workbook.use_zip64()
        decimals = currency.decimals
        self._formats = {
            CellKind.AMOUNT: self._format(num_format="0." + "0" * decimals if decimals else "0"),
            CellKind.NUMBER: self._format(num_format="0.##########"),
            CellKind.DATE: self._format(num_format="yyyy-mm-dd"),
        }
        self._heading = self._format(bold=True)
        self._sheets = 0
        self._add_sheet()

    def write(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Write rows of a cell for each column."""
        for row in rows:
            if self._row == self._max_sheet_rows:
                self._add_sheet()
            for number, (cell, column) in enumerate(zip(row, self._columns, strict=True)):
                self._write_cell(number, cell, column.kind)
            self._row += 1

    def close(self) -> None:
        """Complete the file. The underlying file stays open."""
        self._workbook.close()

    def _format(self, **properties: Any) -> Any:
        return self._workbook.add_format(properties)

    def _add_sheet(self) -> None:
        self._sheets += 1
        suffix = f" ({self._sheets})" if self._sheets > 1 else ""
        self._sheet = self._workbook.add_worksheet(self._sheet_name + suffix)
        self._sheet.freeze_panes(1, 0)
        for number, column in enumerate(self._columns):
            self._sheet.set_column(number, number, _WIDTHS[column.kind])
            self._sheet.write_string(0, number, column.name, self._heading)
        self._row = 1

    def _write_cell(self, column: int, cell: Cell, kind: CellKind) -> None:
        if cell is None or cell == "":
            return
        cell_format = self._formats.get(kind)
        if isinstance(cell, date):
            self._sheet.write_datetime(self._row, column, cell, cell_format)
        elif isinstance(cell, str):
            self._sheet.write_string(self._row, column, cell[:_MAX_TEXT])
        elif is_exact(cell):
            self._sheet.write_number(self._row, column, cell, cell_format)
        else:
            self._sheet.write_string(self._row, column, plain_number(Decimal(cell)))


def is_exact(number: int | Decimal) -> bool:
    """Return whether a spreadsheet keeps all digits of a number."""
    return len(Decimal(number).normalize().as_tuple().digits) <= _EXACT_DIGITS
