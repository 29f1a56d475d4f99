"""`demo`: data to try the service on."""

import typer

from app.cli.support import with_database


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(demo)


def demo() -> None:
    """Load a made-up data set of thirteen months into an empty database."""
    from app.demo import load  # noqa: PLC0415 - keeps --help fast

    typer.echo(with_database(load))
