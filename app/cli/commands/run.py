"""`run`: everything at once, for a machine that has nothing; `make run` calls it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from app.cli.context import load_settings
from app.cli.database import check_database
from app.local.supervisor.run import run_service


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(run)


def run(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="TCP port; a free one is taken if it is busy.")
    ] = 8000,
    data: Annotated[
        Path,
        # Whether it can be used is looked at when that is known, and told with what to do.
        typer.Option(readable=False, help="Where databases, mail and proofs of payment are kept."),
    ] = Path("var"),
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", help="End when the calling process does.")
    ] = False,
) -> None:
    """Run API and worker, on servers of their own unless DATABASE_URL and REDIS_URL name some.

    The first start loads demonstration data. Ctrl-C ends everything.
    """
    # What the servers' own start supplies is not missing; all else is checked before they start.
    supplied = {
        "database_url": "postgresql://postgres@/postgres",
        "redis_url": "unix:///valkey.sock",
        "audit_key": "made, or kept from an earlier start",
    }
    load_settings(**{k: v for k, v in supplied.items() if not os.environ.get(k.upper())})

    if os.environ.get("DATABASE_URL"):
        check_database()

    raise typer.Exit(run_service(host, port, data, stop_with_parent=stop_with_parent))
