"""`payment`: list payments."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.database import with_database
from app.database.engine import Database
from app.invoices.queries import payments as queries

_COLUMNS = {
    "uuid": "payment",
    "date_of_payment": "date",
    "sum": "sum",
    "customer_name": "customer",
    "invoice_number": "invoice",
    "proof_name": "proof",
}
"""The columns of the table, with their headings."""


def register(cli: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True)
    group.command("list")(list_payments)
    group.callback()(_group)
    cli.add_typer(group, name="payment", help="List payments.")


def _group() -> None:
    # A group with a single command needs a callback to stay a group.
    pass


def list_payments(
    customer: Annotated[UUID | None, typer.Option(help="Only this customer's, by UUID.")] = None,
    invoice: Annotated[UUID | None, typer.Option(help="Only this invoice's, by UUID.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON array.")] = False,
) -> None:
    """List payments, newest first."""

    async def run(database: Database) -> Sequence[Mapping[str, Any]]:
        async with database.reading() as connection:
            rows = await queries.list_payments(connection, customer=customer, invoice=invoice)
            return [dict(row) for row in rows]

    payments = with_database(run)
    if as_json:
        # Sums are strings, since JSON numbers are read as binary fractions.
        typer.echo(json.dumps(payments, default=str, ensure_ascii=False, indent=2))
    else:
        _show(payments)


def _show(payments: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in _COLUMNS.values():
        table.add_column(heading, no_wrap=True, justify="right" if heading == "sum" else "left")
    for payment in payments:
        shown = ("" if payment[name] is None else str(payment[name]) for name in _COLUMNS)
        table.add_row(*map(Text, shown))
    console = Console()
    if not console.is_terminal:
        # Piped output is not cut to a width.
        boundless = console.options.update(width=sys.maxsize)
        console.width = console.measure(table, options=boundless).maximum
    console.print(table)
