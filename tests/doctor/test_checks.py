"""Each check of the doctor: well, and wrong where the trouble is made."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic_core import Url
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import DeliveryState, InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.doctor import runner, schema, server, services, work
from app.doctor.check_result import CheckResult, Level
from app.doctor.configuration import Configuration, check, read
from app.jobs import arq_settings as arq
from app.local.embedded.valkey import EmbeddedValkey
from app.outbox import repository as outbox
from app.outbox.redis import create_redis_client
from app.settings import Settings
from tests.support.databases import administer, url_of_database
from tests.support.factories import Factories
from tests.support.pgbouncer import pgbouncer
from tests.support.smtp import Fault, faulty_server, mail_sink

LONG_AGO = timedelta(hours=1)


def is_well(findings: list[CheckResult]) -> bool:
    return [finding.level for finding in findings] == [Level.WELL]


def only(findings: list[CheckResult], level: Level) -> str:
    """Return what the one finding tells, with its advice."""
    (finding,) = findings
    assert finding.level is level, finding
    assert finding.advice.endswith(".")
    return f"{finding.found}. {finding.advice}"


async def test_the_schema(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    assert is_well(await schema.revision(database, settings))
    assert is_well(await schema.indexes(database, settings))
    assert is_well(await schema.triggers(database, settings))

    await connection.execute(text("DROP INDEX ix_outbox_open_due_at"))
    told = only(await schema.indexes(database, settings), Level.WRONG)
    assert "ix_outbox_open_due_at of outbox is missing" in told
    await connection.execute(text("CREATE INDEX ix_outbox_open_due_at ON outbox (due_at)"))
    await connection.execute(
        text(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'ix_outbox_open_due_at'::regclass"
        )
    )
    told = only(await schema.indexes(database, settings), Level.WRONG)
    assert "REINDEX INDEX CONCURRENTLY ix_outbox_open_due_at" in told

    await connection.execute(text("ALTER TABLE invoices DISABLE TRIGGER revise"))
    await connection.execute(text("DROP TRIGGER keep_totals_on_insert ON invoice_items"))
    told_of = await schema.triggers(database, settings)
    assert [(each.level, each.found) for each in told_of] == [
        (Level.WRONG, "the trigger keep_totals_on_insert of invoice_items is missing"),
        (Level.WRONG, "the trigger revise of invoices is disabled"),
    ]

    await connection.execute(text("UPDATE alembic_version SET version_num = 'of tomorrow'"))
    assert "newer" in only(await schema.revision(database, settings), Level.WARNING)
    await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert "app migrate" in only(await schema.revision(database, settings), Level.WRONG)
    await connection.execute(text("DROP TABLE alembic_version"))
    assert "at all" in only(await schema.revision(database, settings), Level.WRONG)


async def test_every_trigger_of_the_migrations_is_looked_for(connection: AsyncConnection) -> None:
    found = await connection.execute(
        text("SELECT tgrelid::regclass::text, tgname::text FROM pg_trigger WHERE NOT tgisinternal")
    )
    assert {tuple(row) for row in found} == schema.TRIGGERS


async def test_the_server(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for look in (server.version, server.encoding, server.time, server.pooler):
        assert is_well(await look(database, settings)), look
    assert is_well(await server.connections(database, settings, 2))
    told = only(await server.connections(database, settings, 500), Level.WRONG)
    assert "500 processes take up to 3000" in told

    monkeypatch.setattr(server, "OLDEST", 99)
    assert "too old" in only(await server.version(database, settings), Level.WRONG)
    monkeypatch.setattr(server, "_FULL", 0)
    only(await server.connections(database, settings, 2), Level.WARNING)
    for off, level in ((timedelta(seconds=5), Level.WARNING), (-timedelta(minutes=1), Level.WRONG)):
        fast = datetime.now(UTC) + off
        monkeypatch.setattr(clock, "_source", lambda fast=fast: fast)
        assert "apart" in only(await server.time(database, settings), level)


async def test_a_server_that_does_not_take_our_settings(settings: Settings) -> None:
    """As behind a pooler that drops them."""
    dropping = Database(settings, server_settings={"timezone": "Europe/Tallinn"})
    try:
        told = only(await server.pooler(dropping, settings), Level.WRONG)
        assert "statement_timeout, lock_timeout, idle_in" in told
        assert "DATABASE_PGBOUNCER=true" in told
        assert "Europe/Tallinn" in only(await server.time(dropping, settings), Level.WRONG)
    finally:
        await dropping.close()


async def test_another_encoding_and_an_undeclared_pooler(settings: Settings) -> None:
    name = f"ascii_{uuid4().hex}"
    await administer(f"CREATE DATABASE {name} ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0")
    other = Database(settings.model_copy(update={"database_url": url_of_database(name)}))
    assert "SQL_ASCII" in only(await server.encoding(other, settings), Level.WRONG)
    await other.close()
    await administer(f"DROP DATABASE {name}")

    async with pgbouncer(settings.database_url, connections=2) as url:
        pooled = settings.model_copy(update={"database_url": url})
        told = (await runner.run_checks(Configuration(pooled, frozenset(), ()), 2)).findings
        assert "DATABASE_PGBOUNCER=true" in only(told["database"], Level.WRONG)
        assert "indexes" not in told
        pooled = pooled.model_copy(update={"database_pgbouncer": True})
        told = (await runner.run_checks(Configuration(pooled, frozenset(), ()), 2)).findings
        for check in ("database", "time", "limits", "connections", "indexes", "outbox"):
            assert is_well(told[check]), told[check]


async def test_redis_and_the_worker(settings: Settings, tmp_path: Path) -> None:
    with ExitStack() as servers:
        valkey = servers.enter_context(EmbeddedValkey(tmp_path / "valkey"))
        settings = settings.model_copy(update={"redis_url": valkey.url})
        assert is_well(await services.redis(settings))
        assert "Start `python" in only(await services.worker(settings), Level.WARNING)
        client = create_redis_client(settings, timeout=5)
        await client.set(arq.health_check_key(settings), "here")
        assert is_well(await services.worker(settings))
        await client.config_set("maxmemory", "64mb")
        assert is_well(await services.redis(settings))
        await client.config_set("maxmemory-policy", "allkeys-lru")
        told = only(await services.redis(settings), Level.WARNING)
        assert "maxmemory-policy allkeys-lru" in told
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", 1)
        assert "refuses to write" in only(await services.redis(settings), Level.WRONG)
        await client.aclose(close_connection_pool=True)
    assert "REDIS_URL cannot be used" in only(await services.redis(settings), Level.WRONG)


def to(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"smtp_url": Url(url)})


async def test_mail(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SMTP_URL is not set" in only(await services.mail(settings), Level.WARNING)
    (tmp_path / "file").touch()
    nowhere = settings.model_copy(update={"mail_dir": tmp_path / "file"})
    assert "MAIL_DIR is wrong" in only(await services.mail(nowhere), Level.WRONG)

    async with mail_sink() as sink:
        assert is_well(await services.mail(to(settings, sink.url)))
        with_password = sink.url.replace("//", "//user:secret@")
        told = only(await services.mail(to(settings, with_password)), Level.WRONG)
        assert "secret" not in told
        assert sink.mailbox == []
    only(await services.mail(to(settings, sink.url)), Level.WRONG)
    monkeypatch.setattr(services, "_SMTP_TIMEOUT", 0.2)
    async with faulty_server(Fault.NO_GREETING) as faulty:
        told = only(await services.mail(to(settings, faulty.url)), Level.WRONG)
        assert "No answer" in told or "cannot be used" in told


async def test_the_disk_and_the_proofs(
    make: Factories, database: Database, settings: Settings, tmp_path: Path
) -> None:
    settings.proof_dir.mkdir(exist_ok=True)
    assert is_well(await work.disk(settings))
    profile = await make.profile(await make.customer())
    for number in range(3):
        key = f"{number}" * 32
        (settings.proof_dir / key).write_bytes(b"%PDF")
        await make.payment(
            profile,
            proof_key=key,
            proof_name="a.pdf",
            proof_media_type="application/pdf",
            proof_size=4,
            proof_sha256="",
        )
    assert is_well(await work.proofs(database, settings))
    (settings.proof_dir / ("0" * 32)).unlink()
    (settings.proof_dir / ("1" * 32)).write_bytes(b"%")
    told = only(await work.proofs(database, settings), Level.WRONG)
    assert "of 3 proofs that were looked for, 2 are not" in told

    (tmp_path / "file").touch()
    nowhere = settings.model_copy(update={"proof_dir": tmp_path / "file"})
    assert "PROOF_DIR is wrong" in only(await work.disk(nowhere), Level.WRONG)
    few = settings.model_copy(update={"proof_max_bytes": 2**50})
    assert "Make room" in only(await work.disk(few), Level.WRONG)


async def test_a_folder_of_proofs_that_is_gone_is_told_and_not_made(
    settings: Settings, tmp_path: Path
) -> None:
    gone = settings.model_copy(update={"proof_dir": tmp_path / "gone"})
    told = only(await work.disk(gone), Level.WARNING)
    assert f"{tmp_path / 'gone'}, does not exist" in told
    assert not (tmp_path / "gone").exists()


async def test_the_backlog(
    make: Factories, connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    customer = await make.customer()
    past = Period.containing(clock.today()).shifted(-1)
    await make.invoice(customer, past, InvoiceState.CREATED)
    await outbox.record_job(connection, "notify", {})
    for look in (work.outbox, work.deliveries, work.months):
        assert is_well(await look(database, settings)), look

    for age, level in ((timedelta(minutes=2), Level.WARNING), (LONG_AGO, Level.WRONG)):
        due = clock.now() - age
        await connection.execute(text("UPDATE outbox SET due_at = :due"), {"due": due})
        told = only(await work.outbox(database, settings), level)
        assert "1 jobs are due, the oldest for" in told
    await connection.execute(text("UPDATE outbox SET done_at = now(), last_error = 'no use'"))
    assert "notify (1)" in only(await work.outbox(database, settings), Level.WARNING)

    invoice = await make.invoice(customer, past.shifted(-1))
    told = only(await work.months(database, settings), Level.WRONG)
    assert told.startswith("1 invoices of ")
    await connection.execute(
        text(
            "INSERT INTO notification_deliveries (uuid, invoice_id, recipient, state, message_id,"
            " attempts, created_at) VALUES (gen_random_uuid(), :invoice, 'a@b.example', :state,"
            " 'x', 1, now())"
        ),
        {"invoice": invoice.id, "state": DeliveryState.FAILED},
    )
    assert "delivery retry" in only(await work.deliveries(database, settings), Level.WARNING)


def test_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    found = read()
    assert found.unusable == {"database_url", "audit_key", "redis_url"}
    told = list(check(found))
    assert [each.found for each in told[:3]] == [
        "DATABASE_URL is not set.",
        "AUDIT_KEY is not set.",
        "REDIS_URL is not set.",
    ]
    assert [each.level for each in told] == [Level.WRONG] * 3 + [Level.WARNING] * 2

    good = {
        "DATABASE_URL": "postgresql://there/x",
        "REDIS_URL": "redis://there",
        "AUDIT_KEY": "0123456789abcdef" * 4,
        "MAIL_FROM": "billing@cloud.example",
        "ISSUER_DETAILS": '{"name": "Cloud"}',
    }
    for name, value in good.items():
        monkeypatch.setenv(name, value)
    assert is_well(list(check(read())))
    monkeypatch.setenv("TRUSTED_PROXIES", "0.0.0.0/0")
    assert [each.level for each in check(read())] == [Level.WARNING] * 2
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.1")
    assert "PUBLIC_URL" in only(list(check(read())), Level.WARNING)
    monkeypatch.setenv("PUBLIC_URL", "https://billing.example")
    monkeypatch.setenv("PROOF_MAX_BYTES", "0")
    found = read()
    assert found.settings.proof_max_bytes > 0
    assert "PROOF_MAX_BYTES is wrong" in only(list(check(found)), Level.WRONG)
