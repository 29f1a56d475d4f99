"""Run a command's action on the database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.cli.context import fail, load
from app.cli.progress import show_progress
from app.database.engine import Connection, Database
from app.invoices.actions.set_currency import settle_currency
from app.invoices.queries.stored_currency import WrongCurrency
from app.logging import error_message
from app.progress import Progress
from app.settings import AuditSettings, DatabaseSettings

_Result = TypeVar("_Result")
_NOT_MIGRATED = ("42P01", "42703")
"""SQLSTATE: a table, or a column, does not exist."""


def with_database(
    label: str,
    action: Callable[[Database, Progress], Awaitable[_Result]],
    *,
    settings: AuditSettings | None = None,
    hidden: bool = False,
) -> _Result:
    """Run an action on the database that DATABASE_URL names and return its result.

    The progress that the action sets is shown under the `label`; `show_progress` explains `hidden`.

    The command ends with one line if the database does not answer, is not migrated, or has
    invoices in another currency. An action that may add invoices passes its `settings`: their
    currency is checked first.
    """
    database_settings = load(DatabaseSettings)

    async def run(progress: Progress) -> _Result:
        database = Database(database_settings)
        try:
            await _require_answer(database)
            if settings is not None:
                await settle_currency(database, settings)
            return await action(database, progress)
        except WrongCurrency as error:
            fail(str(error))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) in _NOT_MIGRATED:
                fail(
                    f"The database is not migrated ({error_message(error).rstrip('.')}):"
                    " run `python -m app migrate`."
                )
            raise
        finally:
            await database.close()

    with show_progress(label, hidden=hidden) as progress:
        return asyncio.run(run(progress))


def read(label: str, query: Callable[[Connection], Awaitable[_Result]]) -> _Result:
    """Return the result of a query, as `with_database` does."""

    async def run(database: Database, _progress: Progress) -> _Result:
        async with database.reading() as connection:
            return await query(connection)

    return with_database(label, run)


def change(label: str, action: Callable[[Connection], Awaitable[_Result]]) -> _Result:
    """Run an action in one transaction and return its result, as `with_database` does."""

    async def run(database: Database, _progress: Progress) -> _Result:
        async with database.transaction() as connection:
            return await action(connection)

    return with_database(label, run)


def check_database() -> None:
    """End the command with one line if the database that DATABASE_URL names does not answer."""

    async def run(database: Database, _progress: Progress) -> None:
        await _require_answer(database)

    with_database("connect", run)


async def _require_answer(database: Database) -> None:
    try:
        async with database.reading():
            return
    except (OSError, SQLAlchemyError) as error:
        # The URL may also hold the password as an option.
        url = database.engine.url.difference_update_query(["password"])
        where = url.render_as_string(hide_password=True)
        fail(f"The database {where} cannot be reached: {error_message(error).rstrip('.')}.")
