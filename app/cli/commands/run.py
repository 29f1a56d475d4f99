"""`run`: the service with embedded servers, for a machine without any; `make run` calls it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from app.cli.context import load_settings
from app.cli.database import check_database
from app.local.supervisor.run import run_service

cli = typer.Typer()


@cli.command()
def run(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="TCP port; a free one if it is busy.")
    ] = 8000,
    data: Annotated[
        Path,
        # The supervisor checks access, with advice.
        typer.Option(readable=False, help="Folder of databases, mail and proofs of payment."),
    ] = Path("var"),
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", help="End with the calling process.")
    ] = False,
) -> None:
    """Run API and worker, on embedded servers unless DATABASE_URL and REDIS_URL name others.

    The first start loads demonstration data. Ctrl-C stops everything.
    """
    # The supervisor sets these later. All other settings are checked before servers start.
    supplied = {
        "database_url": "postgresql://postgres@/postgres",
        "redis_url": "unix:///valkey.sock",
        "audit_key": "created, or read from the data folder",
    }
    load_settings(**{k: v for k, v in supplied.items() if not os.environ.get(k.upper())})

    if os.environ.get("DATABASE_URL"):
        check_database()

    raise typer.Exit(run_service(host, port, data, stop_with_parent=stop_with_parent))
