"""Databases with the tables and columns of a Waldur, filled with given rows."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

Columns = Mapping[str, Mapping[str, str]]
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


async def create_waldur(url: str, columns: Columns, rows: Rows) -> None:
    """Make the tables in an empty database and fill them.

    Waldur's constraints and defaults are left out, but for an id where none is given.
    """
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            for table, kinds in columns.items():
                defined = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items())
                await connection.exec_driver_sql(f"CREATE TABLE {table} ({defined})")
                await insert(connection, table, rows.get(table, ()))
                if "id" in kinds:
                    await _number(connection, table)
    finally:
        await engine.dispose()


async def execute(url: str, *statements: str) -> None:
    """Change a database, each statement by itself."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
    finally:
        await engine.dispose()


async def insert(
    connection: AsyncConnection, table: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows written as JSON; missing columns are null."""
    await connection.exec_driver_sql(
        f"INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb)",
        (json.dumps(rows),),
    )


async def add_rows(url: str, table: str, *rows: Mapping[str, Any]) -> None:
    """Insert rows into a table of a database."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await insert(connection, table, rows)
    finally:
        await engine.dispose()


async def _number(connection: AsyncConnection, table: str) -> None:
    largest = (
        await connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {table}")
    ).scalar_one()
    await connection.exec_driver_sql(f"CREATE SEQUENCE {table}_ids START {largest + 1}")
    await connection.exec_driver_sql(
        f"ALTER TABLE {table} ALTER id SET DEFAULT nextval('{table}_ids')"
    )


def recorded(shared: Path) -> tuple[Columns, Rows]:
    """Return the columns and rows of the Waldur that exchanges were recorded from."""
    place = shared / "recorded"
    columns = json.loads((place / "waldur_columns.json").read_text())
    return columns, json.loads((place / "waldur_tables.json").read_text())["tables"]


async def columns_of(url: str, table: str) -> Mapping[str, str]:
    """Return the columns of a table with their types."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT attname, format_type(atttypid, atttypmod)"
                " || CASE WHEN attnotnull THEN ' not null' ELSE '' END AS kind FROM pg_attribute"
                " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped"
                " ORDER BY attnum",
                (table,),
            )
            return {row.attname: row.kind for row in rows}
    finally:
        await engine.dispose()
