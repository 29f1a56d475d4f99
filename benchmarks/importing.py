"""The import of JSON Lines against a raw COPY of the same rows into the same tables."""

import time
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it has no types

from benchmarks.console import Unusable, progress
from benchmarks.data import TABLES
from benchmarks.loading import PREFIX, Databases, run_app
from benchmarks.results import ImportRound
from benchmarks.servers import Environment
from benchmarks.shape import Shape

SHAPE = Shape(10_000, huge=5)
"""About ninety thousand items."""
_TARGET = f"{PREFIX}import"


async def measure(databases: Databases, environment: Environment, rounds: int) -> list[ImportRound]:
    """Import and copy in turn, each time into a fresh database.

    What counts of the import is the whole command, from its start to its end; of the COPY all
    tables, in one transaction.
    """
    source = await databases.make(SHAPE)
    folder = environment.place / "import"
    folder.mkdir(exist_ok=True)
    file = folder / "records.jsonl"
    settings = environment.settings(source)
    progress("  exporting what is imported then")
    await run_app("export", "--output", str(file), settings=settings)
    rows = await _copy_out(source, folder)
    measured = []
    try:
        for number in range(rounds):
            progress(f"  round {number + 1} of {rounds}: {rows:,} rows by COPY and by import")
            url = await databases.make_empty(_TARGET)
            copied = await _copy_in(url, folder)
            await databases.drop(_TARGET)
            url = await databases.make_empty(_TARGET)
            start = time.perf_counter()
            await run_app("import", str(file), settings=environment.settings(url))
            imported = time.perf_counter() - start
            await _require(url, rows)
            await databases.drop(_TARGET)
            measured.append(ImportRound(rows, imported, copied))
    finally:
        await databases.drop(_TARGET)
    return measured


async def _copy_out(url: str, folder: Path) -> int:
    """Write the rows of each table to a file; return how many there are."""
    connection = await asyncpg.connect(url)
    try:
        for name, columns in TABLES:
            quoted = ", ".join(f'"{column}"' for column in columns)
            await connection.copy_from_query(
                f"SELECT {quoted} FROM {name} ORDER BY id", output=folder / name, format="text"
            )
        return await _count(connection)
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
