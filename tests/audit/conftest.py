"""Fixtures that verify the audit record, and tamper with the database."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.verify import VerificationResult, verify
from app.database.engine import Database
from app.settings import Settings

Verify = Callable[[], Awaitable[list[str]]]
Tamper = Callable[..., Awaitable[None]]


@pytest.fixture
def verified(database: Database, settings: Settings) -> Verify:
    """Verify everything; returns the discrepancies, without the invoices that they name."""

    async def discrepancies() -> list[str]:
        result = VerificationResult()
        found = [each async for each in verify(database, settings, result)]
        assert result.discrepancies == len(found)
        return [f"{each.sequence or '-'}: {each.description}" for each in found]

    return discrepancies


@pytest.fixture
def tamper(database: Database) -> Tamper:
    """Execute SQL with the triggers disabled, as an owner of the database could."""

    async def execute(statement: str, **values: Any) -> None:
        async with database.transaction() as connection:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            await connection.execute(text(statement), values)

    return execute


async def rows(connection: AsyncConnection, statement: str, **values: Any) -> list[Any]:
    return [tuple(row) for row in await connection.execute(text(statement), values)]
