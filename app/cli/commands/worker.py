"""`worker`: what runs in the background."""

import typer

from app.cli.support import load_settings


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(worker)


def worker() -> None:
    """Run jobs until it is asked to end (SIGTERM or Ctrl-C)."""
    settings = load_settings()

    import asyncio  # noqa: PLC0415 - keeps --help fast

    from app import log  # noqa: PLC0415
    from app.worker.serve import serve  # noqa: PLC0415

    log.configure(settings)
    asyncio.run(serve(settings))
