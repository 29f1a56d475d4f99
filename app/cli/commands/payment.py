"""`payment`: list payments."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli import table
from app.cli.database import with_database
from app.database.engine import Database
from app.invoices.queries import payments as queries

cli = typer.Typer()

_COLUMNS = {
    "uuid": "payment",
    "date_of_payment": "date",
    "sum": "sum",
    "customer_name": "customer",
    "invoice_number": "invoice",
    "proof_name": "proof",
}
"""The columns of the table, with their headings."""


@cli.command("list")
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
        table.show_json(payments)
    else:
        table.show(payments, _COLUMNS, right=["sum"])
