"""`serve`: the API."""

from typing import Annotated

import typer

from app.cli.context import load_settings, require_currency, require_writable

cli = typer.Typer()


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to listen on.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of processes that share the port.")
    ] = 1,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C."""
    # Reported once, not by each process.
    settings = load_settings()
    if settings.proof_store is None:
        require_writable("PROOF_DIR", settings.proof_dir)
    require_currency(settings)

    from app.logging import configure_logging  # noqa: PLC0415 - keeps --help fast
    from app.metrics.exporter import serve_shared_metrics  # noqa: PLC0415

    configure_logging(settings)
    serve_shared_metrics(settings.metrics_host, settings.metrics_port)

    from app.server.processes import run  # noqa: PLC0415 - imports metrics, which are shared by now

    raise typer.Exit(run(host, port, workers, settings.drain_seconds))
