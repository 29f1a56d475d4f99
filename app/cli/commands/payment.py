"""`payment`: list payments."""

from typing import Annotated
from uuid import UUID

import typer

from app.cli import table
from app.cli.database import read
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
    payments = read(
        "payment list", lambda c: queries.list_payments(c, customer=customer, invoice=invoice)
    )
    if as_json:
        table.show_json(payments)
    else:
        table.show(payments, _COLUMNS, right=["sum"])
