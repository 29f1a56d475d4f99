"""What commands share: settings or a clear end, a database for a while, failures in one line."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from unicodedata import category

import typer

from app.disk import write_problem

if TYPE_CHECKING:
    from app.database.engine import Database
    from app.settings import AuditSettings, DatabaseSettings, Settings

_Settings = TypeVar("_Settings", bound="DatabaseSettings")
_Result = TypeVar("_Result")

FAILED = 1
MISUSED = 2
"""The exit codes: what was asked for failed, or could not be understood."""
_NOT_MIGRATED = ("42P01", "42703")
"""SQLSTATE: a table, or a column, that is not there."""


def fail(*lines: str, code: int = FAILED) -> NoReturn:
    """End the command with lines on standard error."""
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(code)


def one_line(text: str) -> str:
    """Return a text of others, such as a name in a bill, without what moves a terminal's cursor."""
    return "".join(" " if category(each) in ("Cc", "Zl", "Zp") else each for each in text)


def load_settings(**known: str) -> "Settings":
    """Return every setting of the service, or end with a line for each one missing or wrong.

    Those in `known` are taken as they are, whatever the environment says.
    """
    from app.settings import Settings  # noqa: PLC0415 - keeps --help fast

    return _load(Settings, **known)


def load_audit_settings() -> "AuditSettings":
    """Return the settings of database and record alone, or end with a line for each problem."""
    from app.settings import AuditSettings  # noqa: PLC0415 - keeps --help fast

    return _load(AuditSettings)


def load_database_settings() -> "DatabaseSettings":
    """Return the settings of the database alone, or end with a line for each problem."""
    from app.settings import DatabaseSettings  # noqa: PLC0415 - keeps --help fast

    return _load(DatabaseSettings)


def require_writable(name: str, directory: Path) -> None:
    """End the command with a line where the folder of a setting cannot be made or written to."""
    problem = write_problem(directory)
    if problem:
        fail(f"{name} is wrong: {problem}.", code=MISUSED)


def with_database(
    action: "Callable[[Database], Awaitable[_Result]]", *, of: "AuditSettings | None" = None
) -> _Result:
    """Run an action on the database that DATABASE_URL names and return its result.

    A database that does not answer, is not migrated or has invoices in another currency ends the
    command with one line. With the settings `of` a process that may add invoices the currency is
    looked at before the action.
    """
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - keeps --help fast

    from app.database.engine import Database  # noqa: PLC0415
    from app.invoices.actions.set_currency import settle_currency  # noqa: PLC0415
    from app.invoices.queries.stored_currency import WrongCurrency  # noqa: PLC0415
    from app.logging import error_message  # noqa: PLC0415

    settings = load_database_settings()

    async def run() -> _Result:
        database = Database(settings)
        try:
            await _reach(database)
            if of is not None:
                await settle_currency(database, of)
            return await action(database)
        except WrongCurrency as error:
            fail(str(error))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) in _NOT_MIGRATED:
                fail(
                    f"The database is not migrated ({error_message(error).rstrip('.')}):"
                    " `python -m app migrate` does it."
                )
            raise
        finally:
            await database.close()

    return asyncio.run(run())


def check_database() -> None:
    """End the command with one line where the database that DATABASE_URL names does not answer."""
    with_database(_reach)


def require_currency(settings: "AuditSettings") -> None:
    """End the command with one line where the database has invoices in another currency.

    For commands that start without a database, too: other checks report a database that does not
    answer or is not migrated. Nothing that counts is imported, since the process may be above
    others that count.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - keeps --help fast
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    from app.database.statements import NO_STATEMENT_CACHE  # noqa: PLC0415
    from app.invoices.queries.stored_currency import WrongCurrency, stored_currency  # noqa: PLC0415

    async def look() -> None:
        timeout = {"timeout": settings.database_pool_timeout}
        engine = create_async_engine(
            settings.database_url, connect_args=NO_STATEMENT_CACHE | timeout
        )
        try:
            async with engine.connect() as connection:
                (await stored_currency(connection)).require(settings.currency)
        finally:
            await engine.dispose()

    try:
        asyncio.run(look())
    except WrongCurrency as error:
        fail(str(error))
    except (OSError, SQLAlchemyError):
        return


async def _reach(database: "Database") -> None:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - keeps --help fast

    from app.logging import error_message  # noqa: PLC0415

    try:
        async with database.reading():
            return
    except (OSError, SQLAlchemyError) as error:
        # A password may also stand among the options.
        url = database.engine.url.difference_update_query(["password"])
        where = url.render_as_string(hide_password=True)
        fail(f"The database {where} cannot be reached: {error_message(error).rstrip('.')}.")


def _load(kind: type[_Settings], **known: Any) -> _Settings:
    from pydantic import ValidationError  # noqa: PLC0415 - keeps --help fast

    from app.settings import error_messages  # noqa: PLC0415

    try:
        return kind(**known)
    except ValidationError as error:
        fail(*error_messages(error), code=MISUSED)
