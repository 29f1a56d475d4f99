"""A slow and plain reader of cost exports: row by row, with sums of Python's decimals.

The tests compare the bills and refusals of the engine with it.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from app.dataio.focus.charge_groups import (
    Bill,
    EqualCharges,
    collect_bill,
)
from app.dataio.focus.row_parser import RowParser

Refusal = list[str]


def read_plainly(paths: Iterable[Path]) -> Bill | Refusal:
    """Return the bill of CSV files, or the first lines of the refusal of one of them."""
    charges: list[EqualCharges] = []
    for path in paths:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            parse = RowParser(next(rows))
            refusal: Refusal = []
            line = rows.line_num + 1
            for row in rows:
                if any(row):
                    try:
                        charge = parse(row)
                        charges.append(EqualCharges(charge, charge.charge_start, 1))
                    except ValueError as error:
                        refusal.append(f"line {line}: {error}")
                line = rows.line_num + 1
        if refusal:
            return refusal
    return collect_bill(charges, None, drop_tax=False)
