"""Gathers the commands and runs the one that is asked for."""

import importlib
import pkgutil

import typer

from app.cli import commands


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
    """Run the command that the arguments name."""
    build()(prog_name="python -m app")
