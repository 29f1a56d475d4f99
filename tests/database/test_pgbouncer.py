"""The service behind a real PgBouncer in transaction mode, with few connections to the server."""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import make_url, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from structlog.testing import capture_logs

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database import timeouts
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.dataio.jsonl.exporter import export_lines
from app.dataio.jsonl.importer import import_file
from app.deliveries.models import Delivery
from app.jobs.registry import build_registry
from app.jobs.runner import JobRunner
from app.main import create_app
from app.outbox import repository as outbox
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.commands import run_command
from tests.support.executed import noting_statements
from tests.support.factories import Factories, Row
from tests.support.pgbouncer import pgbouncer
from tests.support.warm_connections import idle_sessions

SERVERS = 2
"""Connections that PgBouncer has to the server."""
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
PDF = b"%PDF-1.7\nproof"


@pytest.fixture
async def pooled_url(database_url: str) -> AsyncIterator[str]:
    """The test's own database, reached through PgBouncer."""
    async with pgbouncer(database_url, connections=SERVERS) as url:
        yield url


@pytest.fixture
def pooled(settings: Settings, pooled_url: str) -> Settings:
    return Settings.model_validate(
        settings.model_dump() | {"database_url": pooled_url, "database_pgbouncer": True}
    )


@pytest.fixture
async def behind(pooled: Settings) -> AsyncIterator[Database]:
    """The test's own database, as the service reaches it through PgBouncer."""
    database = Database(pooled)
    yield database
    await database.close()


@pytest.fixture
async def api(pooled: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(pooled.model_copy(update={"database_pool_size": 16}))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def invoice(make: Factories) -> Row:
    customer = await make.customer()
    await make.profile(customer)
    await make.owner(customer, email="owner@example.com")
    invoice = await make.invoice(customer, Period(2024, 5), InvoiceState.CREATED)
    for number in range(600):  # more than a streamed answer has in memory
        await make.item(invoice, name=f"Item {number:03}")
    return invoice


async def shown(connection: AsyncConnection) -> list[str]:
    return [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in LIMITS]


async def test_the_api_works(api: FastAPI, make: Factories, invoice: Row) -> None:
    headers = (await make.staff()).headers
    one = f"/api/invoices/{invoice.uuid}/"
    async with client_of(api, headers=headers) as client:
        for _ in range(3):
            assert len((await client.get("/api/invoices/")).json()[0]["items"]) == 600
            assert (await client.get(one)).json()["state"] == "created"
            assert len((await client.get(f"{one}items/")).json()) == 600
            assert (await client.get(f"{one}stats/")).json() == []
            assert (await client.get("/api/invoices/growth/")).is_success
            assert (await client.head("/api/invoices/")).headers["x-result-count"] == "1"
            assert (await client.get("/health/ready")).json()["database"] == "ok"
        for action, body in {
            "set_backend_id": {"backend_id": "B-1"},
            "set_payment_url": {"payment_url": "https://pay.example/1"},
            "set_reference_number": {"reference_number": "R-1"},
            "send_notification": None,
        }.items():
            answer = await client.post(f"{one}{action}/", json=body)
            assert answer.is_success, (action, answer.text)
        paid = await client.post(
            f"{one}paid/",
            data={"date": "2026-11-05"},
            files={"proof": ("proof.pdf", PDF, "application/pdf")},
        )
        assert (paid.status_code, paid.json()["state"]) == (200, "paid")
        assert (await client.post(f"{one}paid/")).status_code == 409


async def test_many_clients_share_few_connections(
    api: FastAPI, make: Factories, invoice: Row, connection: AsyncConnection
) -> None:
    headers = (await make.staff()).headers
    one = f"/api/invoices/{invoice.uuid}/"
    async with client_of(api, headers=headers) as client:
        client.timeout = httpx.Timeout(120)
        answers = await asyncio.gather(
            *(
                client.post(f"{one}set_backend_id/", json={"backend_id": str(number)})
                if number % 6 == 5
                else client.get(f"{one}items/" if number % 2 else "/api/invoices/?field=uuid")
                for number in range(60)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {200: 60}
    listed = [answer.json() for answer in answers if answer.url.path.endswith("/items/")]
    assert [len(items) for items in listed] == [600] * 20
    of_service = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND pid <> ALL (:kept)"
    )
    kept = {"kept": idle_sessions()}  # of earlier tests
    assert (await connection.execute(of_service, kept)).scalar_one() <= SERVERS


async def test_jobs_run(
    pooled: Settings, behind: Database, make: Factories, connection: AsyncConnection, invoice: Row
) -> None:
    customer = await make.customer()
    await make.owner(customer, email="second@example.com")
    await make.item(await make.invoice(customer, Period(2024, 6)))
    settings = pooled.model_copy(update={"notify_on_issue": True})
    runner = JobRunner(behind, settings, build_registry(settings))
    for job in build_registry(settings).keys() - {"deliver", "notify", "send_report"}:
        await outbox.record_job(connection, job, {})
    while await runner.start_due_jobs():
        await runner.wait_until_idle()
    ended = await connection.execute(
        text("SELECT count(*) FILTER (WHERE last_error = ''), count(*) FROM outbox"
             " WHERE done_at IS NOT NULL")
    )  # fmt: skip
    without_error, all_ended = ended.one()
    # With the notification, its one delivery, and further jobs that store documents.
    assert without_error == all_ended >= 12
    sent = await connection.execute(select(Delivery.recipient, Delivery.state))
    assert [tuple(row) for row in sent] == [("second@example.com", "sent")]


async def test_export_and_import_run(
    pooled: Settings, behind: Database, second_database_url: str, invoice: Row, tmp_path: Path
) -> None:
    file = tmp_path / "data.jsonl"
    exported = io.BytesIO()
    async for piece in export_lines(behind, pooled, proofs=True):
        exported.write(piece)
    file.write_bytes(exported.getvalue())
    async with pgbouncer(second_database_url, connections=SERVERS) as url:
        empty = Settings.model_validate(pooled.model_dump() | {"database_url": url})
        second = Database(empty)
        for _ in range(2):  # the second time over sessions that have made temporary tables
            report = await import_file(second, empty, str(file))
            assert report.rejected_count == 0
        async with second.reading() as connection:
            found = await connection.execute(text("SELECT count(*) FROM invoice_items"))
            assert found.scalar_one() == 600
        await second.close()


@pytest.mark.usefixtures("own_logs")
async def test_migrations_run(empty_database_url: str) -> None:
    async with pgbouncer(empty_database_url, connections=SERVERS) as url:
        settings = {"DATABASE_URL": url.replace("+asyncpg", ""), "DATABASE_PGBOUNCER": "true"}
        for arguments in ((), ("--to", "base", "--down"), ()):
            done = await asyncio.to_thread(run_command, "migrate", *arguments, **settings)
            assert done.exit_code == 0, done.output


async def test_timeouts_are_set_in_each_transaction_only(behind: Database, pooled_url: str) -> None:
    kinds = (behind.reading, behind.transaction, behind.snapshot, behind.streaming)
    for _ in range(3):
        for kind in kinds:
            async with kind() as connection:
                assert await shown(connection) == ["30s", "5s", "1min", "UTC"]
        async with behind.transaction() as connection:
            await timeouts.disable_timeouts(connection)
            assert await shown(connection) == ["0", "0", "0", "UTC"]
    # Another service that shares the connections is not touched.
    other = create_async_engine(
        pooled_url, connect_args={"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    )
    for _ in range(3):
        async with other.connect() as connection:
            assert (await shown(connection))[:3] == ["0", "0", "0"]
    await other.dispose()


async def test_reads_need_no_transaction_if_the_role_has_a_statement_timeout(
    pooled: Settings, database: Database, pooled_url: str, make: Factories
) -> None:
    """Two services read at the same time over two servers: no statement meets another's."""
    headers = (await make.staff()).headers
    name = make_url(pooled_url).database
    async with database.autocommit() as connection:
        change = f"ALTER DATABASE \"{name}\" SET statement_timeout = '2s'"
        await connection.execute(text(change))
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            app = create_app(pooled.model_copy(update={"database_pool_size": 8}))
            await stack.enter_async_context(app.router.lifespan_context(app))
            clients.append(await stack.enter_async_context(client_of(app, headers=headers)))
        answers = await asyncio.gather(
            *(
                clients[number % 2].get("/api/invoices/" if number % 4 < 2 else "/api/payments/")
                for number in range(40)
            )
        )
        assert Counter(answer.status_code for answer in answers) == {200: 40}
        seen: list[str] = []
        noting = noting_statements(app, lambda statement, _: seen.append(statement))
        stack.enter_context(noting)
        assert (await clients[1].get("/api/payments/")).status_code == 200
        assert seen
        assert not [statement for statement in seen if "set_config" in statement]
        with pytest.raises(DatabaseUnavailable, match="statement timeout"):
            async with app.state.database.reading() as connection:
                await connection.execute(text("SELECT pg_sleep(5)"))


async def test_a_slow_statement_or_lock_is_cancelled(
    pooled: Settings, database: Database, make: Factories, invoice: Row
) -> None:
    headers = (await make.staff()).headers
    short = {"database_statement_timeout": 2, "database_lock_timeout": 1}
    app = create_app(pooled.model_copy(update=short))
    path = f"/api/invoices/{invoice.uuid}/set_backend_id/"
    async with app.router.lifespan_context(app), client_of(app, headers=headers) as client:
        with pytest.raises(DatabaseUnavailable, match="statement timeout"):
            async with app.state.database.reading() as connection:
                await connection.execute(text("SELECT pg_sleep(5)"))
        async with database.transaction() as holding:
            await holding.execute(text("SELECT 1 FROM invoices FOR UPDATE"))
            answer = await client.post(path, json={"backend_id": "B"})
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert (await client.post(path, json={"backend_id": "B"})).is_success


async def test_a_reading_commits_its_writes(behind: Database, connection: AsyncConnection) -> None:
    async with behind.reading() as reading:
        await reading.execute(text("INSERT INTO categories (uuid, title)"
                                   " VALUES (gen_random_uuid(), 'Kept')"))  # fmt: skip
    assert (await connection.execute(text("SELECT title FROM categories"))).scalar_one() == "Kept"


async def test_a_full_pooler_is_reported(
    settings: Settings, database_url: str, make: Factories
) -> None:
    headers = (await make.staff()).headers
    async with pgbouncer(database_url, connections=1, options="query_wait_timeout = 1") as url:
        app = create_app(
            Settings.model_validate(
                settings.model_dump() | {"database_url": url, "database_pgbouncer": True}
            )
        )
        async with app.router.lifespan_context(app), client_of(app, headers=headers) as client:
            async with AsyncExitStack() as taken:
                await taken.enter_async_context(app.state.database.transaction())
                async with asyncio.timeout(60):
                    assert (await client.get("/api/invoices/")).status_code == 503
            assert (await client.get("/api/invoices/")).status_code == 200


async def test_the_pooler_refuses_connections_without_the_setting(
    settings: Settings, pooled_url: str
) -> None:
    database = Database(settings.model_copy(update={"database_url": pooled_url}))
    with pytest.raises(DatabaseUnavailable, match="unsupported startup parameter"):
        async with database.reading():
            pass
    await database.close()


async def test_dropped_timeouts_are_logged(
    settings: Settings, database_url: str, database: Database
) -> None:
    options = f"ignore_startup_parameters = {', '.join(LIMITS[:3])}"
    async with pgbouncer(database_url, connections=1, options=options) as url:
        dropped = Database(settings.model_copy(update={"database_url": url}))
        with capture_logs() as logged:
            async with database.reading():
                pass
            assert logged == []
            for _ in range(2):
                async with dropped.reading():
                    pass
        await dropped.close()
    (warning,) = logged
    assert warning["log_level"] == "warning"
    assert "DATABASE_PGBOUNCER" in warning["event"]
    assert (warning["expected"], warning["actual"]) == (30_000, 0)
