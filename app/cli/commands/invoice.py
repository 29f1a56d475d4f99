"""`invoice`: what an operator does to single invoices."""

from typing import Annotated
from uuid import UUID

import typer

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.cli.context import fail, load_audit_settings
from app.cli.database import with_database
from app.database.engine import Database
from app.invoices.actions.cancel import CannotCancel
from app.invoices.actions.cancel import cancel as cancel_invoice


def register(cli: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True)
    group.command()(cancel)
    group.callback()(_group)
    cli.add_typer(group, name="invoice", help="Cancel an invoice.")


def _group() -> None:
    # A group with a single command needs a callback to stay a group.
    pass


def cancel(
    uuid: Annotated[UUID, typer.Argument(help="The invoice.")],
    why: Annotated[str, typer.Option(help="The reason; it is kept with the invoice.")],
) -> None:
    """Cancel an invoice that is pending or created."""
    key = load_audit_settings().audit_key

    async def run(database: Database) -> int:
        async with audited_transaction(database, key, Actor("cancel"), comment=why) as connection:
            return await cancel_invoice(connection, uuid, why)

    try:
        number = with_database(run)
    except CannotCancel as error:
        fail(str(error))
    typer.echo(f"Invoice {number} is canceled.")
