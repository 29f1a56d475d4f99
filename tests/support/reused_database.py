"""A clone of the template database that the tests of a process use one after the other.

To empty a database costs less than to clone it, and its sessions stay warm.
"""

from typing import Final
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.databases import administration, url_of_database
from tests.support.warm_connections import any_session, idle_sessions, keep_sessions_of

_NOTE_COMMANDS: Final = (
    "CREATE SCHEMA test_run",
    "CREATE TABLE test_run.commands (tag text)",
    """
    CREATE FUNCTION test_run.note_command() RETURNS event_trigger LANGUAGE plpgsql AS $body$
    BEGIN
        IF EXISTS (
            SELECT FROM pg_event_trigger_ddl_commands()
            WHERE schema_name IS DISTINCT FROM 'pg_temp'
        ) THEN
            INSERT INTO test_run.commands VALUES (tg_tag);
        END IF;
    END $body$
    """,
    """
    CREATE FUNCTION test_run.note_drop() RETURNS event_trigger LANGUAGE plpgsql AS $body$
    BEGIN
        IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary) THEN
            INSERT INTO test_run.commands VALUES (tg_tag);
        END IF;
    END $body$
    """,
)
_NOTE_EVENTS: Final = (
    "CREATE EVENT TRIGGER test_run_command ON ddl_command_end"
    " EXECUTE FUNCTION test_run.note_command()",
    "CREATE EVENT TRIGGER test_run_drop ON sql_drop EXECUTE FUNCTION test_run.note_drop()",
)
_TABLES: Final = text(
    "SELECT quote_ident(relname) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
_SEQUENCES: Final = text(
    "SELECT quote_ident(sequencename), coalesce(last_value, start_value), last_value IS NOT NULL"
    " FROM pg_sequences WHERE schemaname = 'public'"
)
_IS_CHANGED: Final = """
    EXISTS (SELECT FROM test_run.commands)
    OR EXISTS (
        SELECT FROM pg_db_role_setting JOIN pg_database AS own ON own.oid = setdatabase
        WHERE own.datname = current_database()
    )
    OR EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
            AND pid <> ALL (pg_backend_pid() || idle)
    )
"""
"""Whether a test has changed more than rows, or still has a session."""


_EMPTY: Final = "SELECT test_run.empty($1)"


class ReusedDatabase:
    """A database for one test at a time; a test that changes more than rows costs a new clone."""

    def __init__(self, administrator: AsyncConnection, template: str) -> None:
        self._administrator = administrator
        self._template = template
        self._name: str | None = None

    async def url(self) -> str:
        """Return the URL of the database, which is as the template is."""
        if self._name is None:
            self._name = await self._clone()
        return url_of_database(self._name)

    async def reset(self) -> None:
        """Empty the database after a test, or drop it if rows are not all that has changed."""
        if self._name is not None and not await self._empty():
            await self.drop()

    async def drop(self) -> None:
        """Drop the database and its sessions."""
        await keep_sessions_of(None)
        name, self._name = self._name, None
        if name is not None:
            await self._administrator.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))

    async def _clone(self) -> str:
        name = f"test_{uuid4().hex}"
        await self._administrator.execute(
            text(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY")
        )
        async with administration(url_of_database(name)) as connection:
            is_superuser = await connection.exec_driver_sql("SHOW is_superuser")
            if is_superuser.scalar_one() != "on":  # cannot notice DDL: each test gets a new clone
                return name
            for statement in _NOTE_COMMANDS:
                await connection.exec_driver_sql(statement)
            for statement in (await _emptying(connection), *_NOTE_EVENTS):
                await connection.exec_driver_sql(statement)
        await keep_sessions_of(name)
        return name

    async def _empty(self) -> bool:
        """Restore the rows of the template; False if a test has changed more than rows."""
        async with any_session(url_of_database(self._name or "")) as session:
            try:
                return bool(await session.fetchval(_EMPTY, idle_sessions()))
            except asyncpg.PostgresError:  # a changed table, for one
                return False


async def _emptying(connection: AsyncConnection) -> str:
    """Return the definition of a function that restores all rows and sequences.

    Its argument has the process numbers of the sessions that are kept. It returns False, and
    changes nothing, if the database has changed otherwise.
    """
    statements = []
    for table in (await connection.execute(_TABLES)).scalars().all():
        statements.append(f"DELETE FROM public.{table};")
        count = f"SELECT count(*) FROM public.{table}"
        if (await connection.exec_driver_sql(count)).scalar_one():
            await connection.exec_driver_sql(
                f"CREATE TABLE test_run.{table} AS TABLE public.{table}"
            )
            statements.append(
                f"INSERT INTO public.{table} OVERRIDING SYSTEM VALUE TABLE test_run.{table};"
            )
    for sequence, value, is_called in (await connection.execute(_SEQUENCES)).all():
        statements.append(f"PERFORM setval('public.{sequence}', {value}, {is_called});")
    return f"""
        CREATE FUNCTION test_run.empty(idle integer[]) RETURNS boolean
        LANGUAGE plpgsql SET session_replication_role = replica AS $body$
        BEGIN
            IF {_IS_CHANGED} THEN
                RETURN false;
            END IF;
            {" ".join(statements)}
            RETURN true;
        END $body$
    """
