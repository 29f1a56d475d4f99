"""How PostgreSQL executes the statements of requests."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.executed import noting_statements
from tests.support.factories import UserRow


@dataclass
class Plans:
    """How PostgreSQL executes the reads of large tables by requests."""

    app: FastAPI
    client: httpx.AsyncClient
    connection: AsyncConnection
    tables: tuple[str, ...]
    faults: list[str] = field(default_factory=list)

    async def check(self, path: str, user: UserRow, most: int) -> None:
        """Record a fault if a table is scanned, or more rows of it are read than `most`."""
        executed: list[tuple[str, tuple[Any, ...]]] = []
        with noting_statements(self.app, lambda *each: executed.append(each)):
            answer = await self.client.get(path, headers=user.headers)
        if answer.status_code != 200:
            self.faults.append(f"{answer.status_code}: {path}")
        await self.check_statements(path, executed, most)

    async def check_statements(
        self, name: str, executed: Sequence[tuple[str, tuple[Any, ...]]], most: int
    ) -> None:
        """Record a fault if a statement scans a table, or reads more of its rows than `most`."""
        looked = [each for each in executed if any(table in each[0] for table in self.tables)]
        if not looked:
            self.faults.append(f"nothing was read: {name}")
        for statement, values in looked:
            for kind, plan in (
                ("custom", await self._custom(statement, values)),
                ("generic", await self._generic(statement, values)),
            ):
                found = "; ".join(self._reads(plan, most))
                if found:
                    self.faults.append(f"{name}, {kind} plan: {found}")

    async def _custom(self, statement: str, values: tuple[Any, ...]) -> dict[str, Any]:
        return await self._explained(statement, values)

    async def _generic(self, statement: str, values: tuple[Any, ...]) -> dict[str, Any]:
        """Return the plan to which PostgreSQL may change after some executions."""
        execute = self.connection.exec_driver_sql
        await execute(f"PREPARE once AS {statement}")
        await execute("SET plan_cache_mode = force_generic_plan")
        arguments = f"({', '.join(map(literal, values))})" if values else ""
        plan = await self._explained(f"EXECUTE once{arguments}", ())
        await execute("RESET plan_cache_mode")
        await execute("DEALLOCATE once")
        return plan

    async def _explained(self, statement: str, values: tuple[Any, ...]) -> dict[str, Any]:
        explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}"
        found = (await self.connection.exec_driver_sql(explain, values)).scalar_one()
        plan: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        return plan

    def _reads(self, plan: dict[str, Any], most: int) -> Iterator[str]:
        """Yield the faults of a plan."""
        for node in nodes(plan):
            table = node.get("Relation Name")
            if table not in self.tables:
                continue
            passed_over = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
            rows = node["Actual Rows"] + sum(node.get(each, 0) for each in passed_over)
            rows *= node["Actual Loops"]
            # Rows that an index passes over are not counted, but are seen in the pages read.
            pages = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
            kind = node["Node Type"]
            if kind == "Seq Scan" or rows > most or pages > 100 + 4 * most:
                yield f"{kind} on {table} of {rows:.0f} rows and {pages} pages, at most {most}"


def literal(value: Any) -> str:
    """Return a parameter as it stands in a statement."""
    if value is None:
        return "NULL"
    written = f"{{{','.join(map(str, value))}}}" if isinstance(value, (list, tuple)) else value
    return "'" + str(written).replace("'", "''") + "'"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
