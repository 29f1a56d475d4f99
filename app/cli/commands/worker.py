"""`worker`: run background jobs."""

import asyncio
from typing import Annotated

import typer

from app.cli.context import fail, load_settings, require_currency, require_writable
from app.jobs.worker import is_alive, run_worker
from app.logging import configure_logging

cli = typer.Typer()


@cli.command()
def worker(
    check: Annotated[
        bool,
        typer.Option("--check", help="Only check whether a worker is alive; exit 1 if not."),
    ] = False,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C."""
    settings = load_settings()

    if check:
        if not asyncio.run(is_alive(settings)):
            fail("No worker has reported to Redis in the last half minute.")
        return
    if settings.smtp_url is None:
        require_writable("MAIL_DIR", settings.mail_dir)
    require_currency(settings)
    configure_logging(settings)
    asyncio.run(run_worker(settings))
