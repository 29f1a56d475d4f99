"""Run a command's action on the database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.cli.context import fail, load_database_settings
from app.database.engine import Database
from app.invoices.actions.set_currency import settle_currency
from app.invoices.queries.stored_currency import WrongCurrency
from app.logging import error_message
from app.settings import AuditSettings

_Result = TypeVar("_Result")
_NOT_MIGRATED = ("42P01", "42703")
"""SQLSTATE: a table, or a column, does not exist."""


def with_database(
    action: Callable[[Database], Awaitable[_Result]], *, of: AuditSettings | None = None
) -> _Result:
    """Run an action on the database that DATABASE_URL names and return its result.

    A database that does not answer, is not migrated or has invoices in another currency ends the
    command with one line. With the settings `of` a process that may add invoices the currency is
    looked at before the action.
    """
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


async def _reach(database: Database) -> None:
    try:
        async with database.reading():
            return
    except (OSError, SQLAlchemyError) as error:
        # A password may also stand among the options.
        url = database.engine.url.difference_update_query(["password"])
        where = url.render_as_string(hide_password=True)
        fail(f"The database {where} cannot be reached: {error_message(error).rstrip('.')}.")
