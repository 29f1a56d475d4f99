"""Databases of generated data: loaded by COPY into the ordinary tables, and reused."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no types
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from app.billing.periods import Period
from app.server_urls import postgresql_url
from benchmarks.builds import ROOT, THIS_BUILD, Build
from benchmarks.console import Unusable, progress
from benchmarks.data import INVOICES, ITEMS, TABLES, Generator, Month, Table
from benchmarks.shape import FIRST_NUMBER, GENERATOR, MONTHS, Shape

PREFIX = "invoicing_benchmark_"
"""The prefix of our databases' names; any other database is left alone."""
_LOADING_WAL = "8GB"
_PROFILES = """
INSERT INTO payment_profiles (uuid, customer_id, name, payment_type, is_active)
SELECT md5('profile ' || customer_id)::uuid, customer_id, 'Invoices', 'invoices', true
FROM invoices GROUP BY customer_id ORDER BY customer_id
"""
_PAYMENTS = """
INSERT INTO payments (uuid, profile_id, invoice_id, date_of_payment, sum, created_at)
SELECT md5('payment ' || invoices.id)::uuid, payment_profiles.id, invoices.id,
       invoices.invoice_date + 7, invoices.total_cost, invoices.invoice_date + 7
FROM invoices JOIN payment_profiles USING (customer_id)
WHERE invoices.state = 'paid' AND invoices.id BETWEEN $1 AND $2 ORDER BY invoices.id
"""
_INVOICES_AT_ONCE = 20_000
"""Invoices, and their items, that one transaction loads."""


@dataclass(frozen=True)
class Footprint:
    """The disk space of a database in bytes, with indexes and TOAST tables."""

    items: int
    invoices: int
    others: int
    """The other tables that data was loaded into, and the frozen documents."""
    record: int
    """The audit trail of the items and invoices; no entries seal it here."""
    representations: int
    """The stored bytes of responses."""
    auxiliary: int
    """Every other table: data that the service can compute again."""


async def load(connection: asyncpg.Connection, shape: Shape, running: Period) -> None:
    """Load a data set into a migrated and otherwise empty database.

    Triggers, constraints and indexes stay as they are. `running` is the newest month.
    """
    generator = Generator(shape, running)
    for table, rows in generator.small():
        await _copy(connection, table, iter([rows]))
    first_item = 1
    for index in range(MONTHS):
        month = generator.month(index)
        for part in month.parts(_INVOICES_AT_ONCE):
            await _load_part(connection, month, part, first_item)
            first_item += sum(shape.items_of(customer) for _, customer in part)
            progress(f"  {part[-1][0]:,} of {shape.invoices:,} invoices, {first_item - 1:,} items")
    await _set_sequences(connection, shape)
    await connection.execute(_PROFILES)
    for first in range(1, shape.invoices + 1, _INVOICES_AT_ONCE):
        await connection.execute(_PAYMENTS, first, first + _INVOICES_AT_ONCE - 1)


async def _load_part(
    connection: asyncpg.Connection, month: Month, part: list[tuple[int, int]], first_item: int
) -> None:
    async with connection.transaction():
        await _copy(connection, INVOICES, iter([month.invoices(part)]))
        await _copy(connection, ITEMS, month.items(part, first_item))


async def _copy(connection: asyncpg.Connection, table: Table, pieces: Iterator[list[str]]) -> None:
    async def source() -> AsyncIterator[bytes]:
        for rows in pieces:
            yield ("\n".join(rows) + "\n").encode()

    name, columns = table
    await connection.copy_to_table(name, source=source(), columns=columns, format="text")


async def _set_sequences(connection: asyncpg.Connection, shape: Shape) -> None:
    for name, _ in TABLES:
        await connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"
        )
    await connection.execute(
        "SELECT setval('invoice_numbers', $1)", FIRST_NUMBER + shape.invoices - 1
    )


class Databases:
    """The databases of the benchmark on one server; each is created once and reused.

    `own` says that the server is the benchmark's alone, so that its settings may be changed.
    """

    def __init__(self, server_url: str, running: Period, *, own: bool) -> None:
        self._own = own
        self._server = make_url(postgresql_url(server_url)).set(drivername="postgresql")
        self._running = running
        head = ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_current_head()
        self._version = f"{GENERATOR}_{head}_{running.year}{running.month:02}"

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return self._server.set(database=name).render_as_string(hide_password=False)

    def name_of(self, shape: Shape, build: Build = THIS_BUILD) -> str:
        """Return the name of the database of a data set with the tables of a build."""
        return f"{self._prefix_of(build)}_{shape.invoices}_{shape.huge}"

    async def clean(self, *, fresh: bool) -> None:
        """Drop databases of another version or unfinished; with `fresh` every one of ours."""
        await self._set_wal(None)
        connection = await asyncpg.connect(self.url(str(self._server.database)))
        try:
            found = await connection.fetch(
                "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", PREFIX
            )
            for row in found:
                name = str(row["datname"])
                kept = name.startswith(f"{PREFIX}{self._version}_") and not name.endswith("_new")
                if fresh or not kept:
                    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    async def make(self, shape: Shape, build: Build = THIS_BUILD) -> str:
        """Return the URL of the database of a data set, and create it if it does not exist.

        Its tables are those of the build.
        """
        name = self.name_of(shape, build)
        if not await self._exists(name):
            progress(f"Making {shape.invoices:,} invoices with {shape.items:,} items.")
            await self.make_empty(f"{name}_new", build)
            await self._set_wal(_LOADING_WAL)
            connection = await asyncpg.connect(self.url(f"{name}_new"))
            try:
                await load(connection, shape, self._running)
                await connection.execute("VACUUM (ANALYZE)")
            finally:
                await connection.close()
            await self._set_wal(None)
            await self._administer("CHECKPOINT")
            # Renamed at the end, so that an interrupted one never looks complete.
            await self._administer(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"')
        return self.url(name)

    async def make_empty(self, name: str, build: Build = THIS_BUILD) -> str:
        """Return the address of a new database that the build has migrated, without rows."""
        template = f"{self._prefix_of(build)}_empty"
        if not await self._exists(template):
            await self._administer(f'CREATE DATABASE "{template}_new"')
            settings = {"DATABASE_URL": self.url(f"{template}_new")}
            await run_app("migrate", settings=settings, build=build)
            await self._administer(f'ALTER DATABASE "{template}_new" RENAME TO "{template}"')
        return await self.clone(template, name)

    async def clone(self, source: str, name: str) -> str:
        """Return the address of a new database with everything that `source` has."""
        await self.drop(name)
        await self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        return self.url(name)

    async def drop(self, name: str) -> None:
        """Drop a database and end its connections."""
        await self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def server_version(self) -> str:
        """Return PostgreSQL's version."""
        return str(await self._fetch("SHOW server_version"))

    async def busy(self) -> bool:
        """Return whether a statement of the service is under way."""
        found = await self._fetch(
            "SELECT 1 FROM pg_stat_activity WHERE state <> 'idle' AND application_name = $1",
            "cloud-invoicing",
        )
        return found is not None

    def _prefix_of(self, build: Build) -> str:
        commit = f"_{build.commit}" if build.commit else ""
        return f"{PREFIX}{self._version}{commit}"

    async def _set_wal(self, size: str | None) -> None:
        """Set the amount of WAL between two checkpoints, or reset it.

        At the default, much loading means a checkpoint every few seconds, and each page is written
        to the log once more after each.
        """
        if self._own:
            change = "RESET max_wal_size" if size is None else f"SET max_wal_size = '{size}'"
            await self._administer(f"ALTER SYSTEM {change}")
            await self._administer("SELECT pg_reload_conf()")

    async def _exists(self, name: str) -> bool:
        found = await self._fetch("SELECT 1 FROM pg_database WHERE datname = $1", name)
        return found is not None

    async def _fetch(self, statement: str, *values: object) -> object:
        connection = await asyncpg.connect(self.url(str(self._server.database)))
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url(str(self._server.database)))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


_RECORD: Final = (
    "invoice_changes", "invoice_history", "subject_changes", "subject_history", "subject_heads",
)  # fmt: skip
"""The tables of the audit record; an earlier build may lack the last ones."""


async def footprint(connection: asyncpg.Connection) -> Footprint:
    """Return the disk space of the tables."""
    found = await connection.fetch(
        "SELECT relname, pg_total_relation_size(oid) AS size FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    sizes = {row["relname"]: row["size"] for row in found}
    items, invoices = sizes.pop("invoice_items"), sizes.pop("invoices")
    record = sum(sizes.pop(name, 0) for name in _RECORD)
    loaded = {name for name, _ in TABLES}
    loaded |= {"payment_profiles", "payments", "invoice_documents", "document_lines"}
    others = sum(sizes.pop(name, 0) for name in loaded)
    representations = sizes.pop("lines_representations")
    return Footprint(items, invoices, others, record, representations, sum(sizes.values()))


async def run_app(*arguments: str, settings: Mapping[str, str], build: Build = THIS_BUILD) -> None:
    """Run a command of `python -m app` to its end; raises Unusable if it fails."""
    process = await asyncio.create_subprocess_exec(
        str(build.python), "-m", "app", *arguments,
        cwd=build.code,
        env=os.environ | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise Unusable(f"`python -m app {arguments[0]}` failed:\n{output.decode()}")
