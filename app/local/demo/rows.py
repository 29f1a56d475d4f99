"""Rows that refer to each other by UUID, and their insertion into the database."""

from collections import defaultdict
from random import Random
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.base import Base
from app.models import metadata
from app.progress import UNWATCHED, Progress

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:cloud-invoicing:demo")


def identifier(table: type[Base], key: str) -> UUID:
    """Return the UUID of a row of the demonstration, the same on every machine."""
    return uuid5(_NAMESPACE, f"{table.__tablename__}/{key}")


def seeded_random(*key: object) -> Random:
    """Return a random generator that the key seeds."""
    return Random("/".join(str(part) for part in key))  # noqa: S311 - nothing here is secret


class Rows:
    """Rows to insert; a foreign key holds the UUID of the referenced row."""

    def __init__(self) -> None:
        self._rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def add(self, table: type[Base], key: str, **values: Any) -> UUID:
        """Add a row and return its UUID, which is derived from the table and the key."""
        uuid = identifier(table, key)
        self._rows[table.__tablename__].append({"uuid": uuid, **values})
        return uuid

    def link(self, table: type[Base], **values: Any) -> None:
        """Add a row of an association table."""
        self._rows[table.__tablename__].append(values)

    def rows_of(self, table: type[Base]) -> list[dict[str, Any]]:
        """Return the rows of a table."""
        return self._rows[table.__tablename__]

    async def insert(
        self, connection: AsyncConnection, progress: Progress = UNWATCHED
    ) -> dict[str, int]:
        """Insert all rows, with one statement a table, and return the number of rows by table."""
        progress.begin("rows", sum(map(len, self._rows.values())))
        keys: dict[str, dict[UUID, int]] = {}
        for table in metadata.sorted_tables:
            rows = self._rows.get(table.name)
            if not rows:
                continue
            filled = [_resolve(table, row, keys) for row in rows]
            if "uuid" in table.c:
                statement = insert(table).returning(table.c.uuid, table.c.id)
                inserted = await connection.execute(statement, filled)
                keys[table.name] = {row.uuid: row.id for row in inserted}
            else:
                await connection.execute(insert(table), filled)
            progress.advance(len(rows))
        return {table: len(rows) for table, rows in self._rows.items()}


def _resolve(table: Table, row: dict[str, Any], keys: dict[str, dict[UUID, int]]) -> dict[str, Any]:
    filled = dict(row)
    for column in table.columns:
        for foreign in column.foreign_keys:
            if filled.get(column.name) is not None:
                filled[column.name] = keys[foreign.column.table.name][filled[column.name]]
    details = filled.get("details")
    if details and "plan_component_id" in details:
        # Details hold the id of a plan component, not its UUID.
        key = keys["plan_components"][details["plan_component_id"]]
        filled["details"] = {**details, "plan_component_id": key}
    return filled
