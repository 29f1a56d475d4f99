"""Rows as a table, for a terminal or for a pipe, or as JSON."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer import echo


def show(
    rows: Iterable[Mapping[Any, Any]], columns: Mapping[str, str], *, right: Iterable[str] = ()
) -> None:
    """Print the named columns of rows under their headings; those in `right` are right-aligned.

    A terminal gets lines of its width, with longer text cut; a pipe gets whole lines.
    """
    table = Table(box=None, pad_edge=False)
    for name, heading in columns.items():
        table.add_column(heading, no_wrap=True, justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*(Text("" if row[name] is None else str(row[name])) for name in columns))
    console = Console()
    if not console.is_terminal:
        boundless = console.options.update(width=sys.maxsize)
        console.width = console.measure(table, options=boundless).maximum
    console.print(table)


def show_json(rows: Iterable[Mapping[Any, Any]]) -> None:
    """Print rows as a JSON array; amounts as strings, since JSON readers round numbers."""
    echo(json.dumps([dict(row) for row in rows], default=_to_text, ensure_ascii=False, indent=2))


def _to_text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
