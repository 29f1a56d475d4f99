"""Settings for commands, and failures in one line."""

import asyncio
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from unicodedata import category

import typer
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from app.cli.exit_codes import FAILED, MISUSED
from app.database import hosts
from app.database.errors import CONNECTION_ERRORS
from app.database.statements import NO_STATEMENT_CACHE
from app.invoices.queries.stored_currency import WrongCurrency, stored_currency
from app.settings import AuditSettings, Settings, error_messages
from app.storage import write_problem

_Settings = TypeVar("_Settings", bound=BaseSettings)


def fail(*lines: str, code: int = FAILED) -> NoReturn:
    """End the command with lines on standard error."""
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(code)


def one_line(text: str) -> str:
    """Return a foreign text, such as a name in a bill, with control characters as spaces."""
    return "".join(" " if category(each) in ("Cc", "Zl", "Zp") else each for each in text)


def load_settings(**known: str) -> Settings:
    """Return the settings of the service, or end with a line for each missing or wrong setting.

    The settings in `known` override the environment.
    """
    return load(Settings, **known)


def load(kind: type[_Settings], **known: Any) -> _Settings:
    """Return settings of one kind, or end with a line for each missing or wrong setting."""
    try:
        return kind(**known)
    except ValidationError as error:
        fail(*error_messages(error), code=MISUSED)


def require_writable(name: str, directory: Path) -> None:
    """End the command with a line if the folder of a setting cannot be created or written to."""
    problem = write_problem(directory)
    if problem:
        fail(f"{name} is wrong: {problem}.", code=MISUSED)


def require_currency(settings: AuditSettings) -> None:
    """End the command with one line if the database has invoices in another currency.

    A database that does not answer or is not migrated passes; other checks report it. This module
    imports no metrics, so that `serve` can first choose how its processes share them.
    """

    async def check() -> None:
        url = settings.database_url
        timeout = {"timeout": settings.database_pool_timeout}
        engine = create_async_engine(
            url, connect_args=NO_STATEMENT_CACHE | hosts.connect_args(url) | timeout
        )
        try:
            async with engine.connect() as connection:
                (await stored_currency(connection)).require(settings.currency.code)
        finally:
            await engine.dispose()

    try:
        asyncio.run(check())
    except WrongCurrency as error:
        fail(str(error))
    except (*CONNECTION_ERRORS, SQLAlchemyError):
        return
