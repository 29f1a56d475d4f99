"""`openapi`: the OpenAPI document."""

import json

import typer

from app.cli.context import load_settings
from app.main import create_app

cli = typer.Typer()


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document. No server needs to run."""
    # No connection is opened and nothing is sealed: any address and any key will do.
    settings = load_settings(
        database_url="postgresql:///", redis_url="unix:///none", audit_key="none" * 8
    )
    typer.echo(json.dumps(create_app(settings).openapi(), indent=2, ensure_ascii=False))
