"""Gathers the commands and runs the one that is asked for."""

import importlib
import pkgutil
import sys

import typer

from app.cli import commands
from app.cli.context import FAILED


def build() -> typer.Typer:
    """Return the application with every command of `app.cli.commands`."""
    cli = typer.Typer(
        help="An invoicing service for clouds, with the API of Waldur's invoices.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for module in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
        importlib.import_module(module.name).register(cli)
    return cli


def main() -> None:
    """Run the command that the arguments name.

    Where the database goes away meanwhile, that is told in one line.
    """
    try:
        build()(prog_name="python -m app")
    except Exception as error:
        from app.database.errors import DatabaseUnavailable  # noqa: PLC0415 - keeps --help fast

        if not isinstance(error, DatabaseUnavailable):
            raise
        typer.echo(f"The database cannot be used now: {error}.", err=True)
        sys.exit(FAILED)
