"""`worker`: what runs in the background."""

import asyncio
from typing import Annotated

import typer

from app.cli.context import fail, load_settings, require_currency, require_writable
from app.jobs.worker import is_alive, run_worker
from app.logging import configure_logging


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(worker)


def worker(
    check: Annotated[
        bool,
        typer.Option("--check", help="Only tell, by the exit code, whether a worker is alive."),
    ] = False,
) -> None:
    """Run jobs until it is asked to end (SIGTERM or Ctrl-C)."""
    settings = load_settings()

    if check:
        if not asyncio.run(is_alive(settings)):
            fail("No worker has been heard of lately.")
        return
    if settings.smtp_url is None:
        require_writable("MAIL_DIR", settings.mail_dir)
    require_currency(settings)
    configure_logging(settings)
    asyncio.run(run_worker(settings))
