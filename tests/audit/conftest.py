"""Invoices with a record, and the verification of it."""

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
    """Verify everything; returns the findings, without the invoices that they name."""

    async def findings() -> list[str]:
        verification = VerificationResult()
        found = [each async for each in verify(database, settings, verification)]
        assert verification.discrepancies == len(found)
        return [f"{each.sequence or '-'}: {each.what}" for each in found]

    return findings


@pytest.fixture
def tamper(database: Database) -> Tamper:
    """Execute SQL as somebody does who has the database, and turns its triggers off."""

    async def execute(statement: str, **values: Any) -> None:
        async with database.transaction() as connection:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            await connection.execute(text(statement), values)

    return execute


async def rows(connection: AsyncConnection, statement: str, **values: Any) -> list[Any]:
    return [tuple(row) for row in await connection.execute(text(statement), values)]
