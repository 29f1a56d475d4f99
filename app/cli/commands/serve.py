"""`serve`: the API alone."""

import signal
import sys
from typing import Annotated

import typer

from app.cli.support import load_settings, require_writable

SHUTDOWN_SECONDS = 30
"""How long requests that are under way may take to finish once the service is asked to end."""


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
) -> None:
    """Serve the API until it is asked to end (SIGTERM or Ctrl-C)."""
    # A problem is told once, not by each process.
    require_writable("PROOF_DIR", load_settings().proof_dir)

    import uvicorn  # noqa: PLC0415 - keeps --help fast

    # uvicorn raises the signal again once it has shut down; an orderly end is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "app.main:create_app_from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http="httptools",
        # The service itself decides whose X-Forwarded-* it believes, and logs requests.
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
