"""Probes before the migration, while the process is busy, and without Redis."""

import asyncio
from time import monotonic

import httpx
import pytest
from sqlalchemy import text

from app import health
from app.database.engine import Database
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories


async def test_startup_waits_for_the_migration_and_then_always_passes(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("ALTER TABLE alembic_version RENAME TO away"))
    answer = await client.get("/health/startup")
    assert answer.status_code == 503
    assert answer.json() == {"status": "starting", "database": "not migrated"}
    async with database.transaction() as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO alembic_version"))
    assert (await client.get("/health/startup")).json() == {"status": "ok"}
    async with database.transaction() as connection:
        await connection.execute(text("DROP TABLE alembic_version"))
    assert (await client.head("/health/startup")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 503


async def test_a_process_that_uses_all_connections_is_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "DATABASE_TIMEOUT", 30.0)
    app = create_app(
        settings.model_copy(update={"database_pool_size": 1, "redis_url": "unix:///nowhere"})
    )
    async with (
        app.router.lifespan_context(app),
        client_of(app) as client,
        app.state.database.transaction(),
    ):
        asked = monotonic()
        answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(10)))
        assert monotonic() - asked < health.DATABASE_TIMEOUT
        for answer in answers:
            assert answer.status_code == 200
            assert answer.json() == {
                "status": "degraded",
                "database": "ok",
                "redis": "unreachable",
            }


async def test_a_probe_fails_only_if_requests_get_no_answer_either(
    client: httpx.AsyncClient,
    make: Factories,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers = (await make.staff()).headers
    assert (await client.get("/health/ready")).status_code == 200
    async with database.transaction() as connection:
        await connection.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        assert (await client.get("/api/invoices/", headers=headers)).is_success
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["database"]) == (200, "busy")
        monkeypatch.setattr(health, "_RECENT_SECONDS", 0)
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["database"]) == (503, "unreachable")
    assert (await client.get("/health/ready")).json()["database"] == "ok"
