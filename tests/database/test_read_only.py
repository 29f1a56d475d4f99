"""The database is read-only for a while: reads continue, and writes resume by themselves."""

import asyncio
from collections.abc import Awaitable

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database import engine
from app.database.engine import Database
from app.database.errors import ConnectionLost, DatabaseReadOnly
from app.doctor import server
from app.doctor.check_result import Level
from app.jobs import arq_settings as arq
from app.main import create_app
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.doctor.results import collect
from tests.support.clients import client_of
from tests.support.factories import Factories
from tests.support.read_only import made_read_only
from tests.support.worker import until, worker_here


async def test_writes_resume_by_themselves(
    settings: Settings, make: Factories, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = (await make.staff()).headers
    invoice = await make.invoice(await make.customer(), Period(2026, 10), InvoiceState.CREATED)
    setting = f"/api/invoices/{invoice.uuid}/set_backend_id/"
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:

        async def change() -> httpx.Response:
            return await client.post(setting, json={"backend_id": "7"}, headers=headers)

        async def ready() -> httpx.Response:
            return await client.get("/health/ready")

        async with made_read_only(settings.database_url) as reset:
            # The pool's own sessions were ended: the first to be used fails.
            await until(lambda: _is(ready(), "database", "read-only"))
            answer = await ready()
            assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
            for _ in range(settings.database_pool_size + 1):
                answer = await change()
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
                assert (await client.get("/api/invoices/", headers=headers)).status_code == 200
            await reset()
            monkeypatch.setattr(engine, "REPLACE_AFTER", 0.0)
            answers = await asyncio.gather(*(change() for _ in range(8)))
            assert [answer.status_code for answer in answers] == [200] * 8
            assert (await ready()).json()["status"] == "ok"


async def test_the_first_probe_reports_it_after_a_lost_connection(
    settings: Settings,
) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/health/ready")).json()["database"] == "ok"
        async with made_read_only(settings.database_url):
            answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "degraded", "database": "read-only", "redis": "ok"}


async def _is(answering: Awaitable[httpx.Response], key: str, value: str) -> bool:
    return bool((await answering).json()[key] == value)


async def test_a_read_only_session_is_replaced_after_a_moment(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = text("SELECT pg_backend_pid()")
    database = Database(settings.model_copy(update={"database_pool_size": 1}))

    async def session() -> int:
        async with database.reading() as connection:
            return int((await connection.execute(pid)).scalar_one())

    assert await session() == await session()
    async with made_read_only(settings.database_url) as reset:
        with pytest.raises(ConnectionLost):
            await session()
        first = await session()
        assert await session() == first
        monkeypatch.setattr(engine, "REPLACE_AFTER", 0.0)
        second = await session()
        assert second != first
        await reset()
        assert await session() != second
        assert await session() == await session()
    await database.close()


async def test_a_refused_write_has_a_reason(database: Database, settings: Settings) -> None:
    async with made_read_only(settings.database_url):
        with pytest.raises(DatabaseReadOnly) as raised:
            async with database.transaction() as connection:
                await outbox.record_job(connection, "j", {})
    assert str(raised.value).startswith("it is read-only (")
    assert "cannot execute INSERT in a read-only transaction" in str(raised.value)


async def test_the_doctor_reports_a_read_only_database(
    database: Database, settings: Settings
) -> None:
    (well,) = await collect(server.changes(database, settings))
    assert well.level is Level.WELL
    async with made_read_only(settings.database_url, ending_sessions=False):
        other = Database(settings)
        (result,) = await collect(server.changes(other, settings))
        await other.close()
    assert result.level is Level.WRONG
    assert result.message == "the database is read-only: default_transaction_read_only is on"
    assert result.advice


async def test_a_worker_waits_logs_it_once_and_resumes(
    settings: Settings, connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arq, "POLL_INTERVAL", 1)
    monkeypatch.setattr(engine, "REPLACE_AFTER", 0.2)
    await outbox.record_job(connection, "purge_answers", {})
    with capture_logs() as logged:
        async with made_read_only(settings.database_url) as reset, worker_here(settings):
            await asyncio.sleep(6)
            await reset()

            async def is_done() -> bool:
                done = select(OutboxEntry.id).where(OutboxEntry.done_at.is_not(None))
                async with watching.reading() as watched:
                    return bool((await watched.execute(done)).first())

            watching = Database(settings)
            await until(is_done)
            await watching.close()
    events = [line["event"] for line in logged if line["log_level"] in ("warning", "error")]
    assert events == ["database read-only"]
    assert [line["event"] for line in logged].count("database usable again") == 1
