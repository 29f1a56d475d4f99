"""The import of JSON Lines against a raw COPY of the same rows into the same tables."""

import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it has no types

from benchmarks.builds import THIS_BUILD, Build
from benchmarks.console import Unusable, progress
from benchmarks.data import TABLES
from benchmarks.loading import PREFIX, Databases, run_app
from benchmarks.results import ImportRound
from benchmarks.servers import Environment
from benchmarks.shape import Shape

SHAPE = Shape(10_000, huge=5)
"""140,450 items."""
LARGE_SHAPE = Shape(82_000, huge=5)
"""500,450 items."""
_TARGET = f"{PREFIX}import"


@dataclass(frozen=True)
class Source:
    """The records to import."""

    records: Path
    """The JSON Lines, as the build exports them."""
    rows: int
    shape: Shape
    build: Build


async def measure(
    databases: Databases, environment: Environment, shape: Shape, rounds: int
) -> list[ImportRound]:
    """Import and copy in turn, each time into an empty database.

    The time of the import is that of the whole command; the time of the COPY is that of all tables
    in one transaction.
    """
    source = await export(databases, environment, shape, THIS_BUILD)
    tables = source.records.parent
    await _copy_out(await databases.make(shape), tables)
    measured = []
    for number in range(rounds):
        progress(f"  round {number + 1} of {rounds}: {source.rows:,} rows by COPY and by import")
        url = await databases.make_empty(_TARGET)
        try:
            copied = await _copy_in(url, tables)
        finally:
            await databases.drop(_TARGET)
        imported = await time_import(databases, environment, source)
        measured.append(ImportRound(source.rows, imported, copied))
    return measured


async def export(
    databases: Databases, environment: Environment, shape: Shape, build: Build
) -> Source:
    """Write the records that a build imports to a file, from a database with its own tables."""
    url = await databases.make(shape, build)
    folder = environment.place / "import" / (build.commit or "this")
    folder.mkdir(parents=True, exist_ok=True)
    progress("  exporting the records to import")
    connection = await asyncpg.connect(url)
    try:
        source = Source(folder / "records.jsonl", await _count(connection), shape, build)
    finally:
        await connection.close()
    settings = environment.settings(url)
    await run_app("export", "--output", str(source.records), settings=settings, build=build)
    return source


async def time_export(databases: Databases, environment: Environment, source: Source) -> float:
    """Return the seconds in which a build exports its records; replaces the file."""
    url = await databases.make(source.shape, source.build)
    start = time.perf_counter()
    await run_app(
        "export", "--output", str(source.records),
        settings=environment.settings(url), build=source.build,
    )  # fmt: skip
    return time.perf_counter() - start


async def time_import(databases: Databases, environment: Environment, source: Source) -> float:
    """Return the seconds in which a build imports its records into an empty database."""
    url = await databases.make_empty(_TARGET, source.build)
    try:
        start = time.perf_counter()
        settings = environment.settings(url)
        await run_app("import", str(source.records), settings=settings, build=source.build)
        seconds = time.perf_counter() - start
        await _require(url, source.rows)
    finally:
        await databases.drop(_TARGET)
    return seconds


async def _copy_out(url: str, folder: Path) -> None:
    """Write the rows of each table to a file."""
    connection = await asyncpg.connect(url)
    try:
        for name, columns in TABLES:
            quoted = ", ".join(f'"{column}"' for column in columns)
            await connection.copy_from_query(
                f"SELECT {quoted} FROM {name} ORDER BY id", output=folder / name, format="text"
            )
    finally:
        await connection.close()


async def _copy_in(url: str, folder: Path) -> float:
    """Copy the files into the tables; return the seconds that it took."""
    connection = await asyncpg.connect(url)
    try:
        start = time.perf_counter()
        async with connection.transaction():
            for name, columns in TABLES:
                await connection.copy_to_table(
                    name, source=folder / name, columns=columns, format="text"
                )
        return time.perf_counter() - start
    finally:
        await connection.close()


async def _require(url: str, rows: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        found = await _count(connection)
    finally:
        await connection.close()
    if found != rows:
        raise Unusable(f"The import left {found:,} rows instead of {rows:,}.")


async def _count(connection: asyncpg.Connection) -> int:
    counts = [await connection.fetchval(f"SELECT count(*) FROM {name}") for name, _ in TABLES]
    return sum(counts)
