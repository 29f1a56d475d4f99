"""The checks of Redis, the workers and the mail server."""

from pathlib import Path

import pytest
from pydantic_core import Url

from app.doctor import services
from app.doctor.check_result import Level
from app.jobs import arq_settings as arq
from app.local.embedded.valkey import EmbeddedValkey
from app.outbox.notifier import create_redis_client
from app.settings import Settings
from tests.doctor.results import collect, is_well, only
from tests.support.smtp import Fault, Stage, run_mail_server


async def test_redis_and_the_worker(settings: Settings, tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        settings = settings.model_copy(update={"redis_url": valkey.url})
        assert is_well(await collect(services.redis(settings)))
        assert "Start `python" in only(await collect(services.worker(settings)), Level.WARNING)
        client = create_redis_client(settings, timeout=5)
        await client.set(arq.health_check_key(settings), "here")
        assert is_well(await collect(services.worker(settings)))
        await client.config_set("maxmemory", "64mb")
        assert is_well(await collect(services.redis(settings)))
        await client.config_set("maxmemory-policy", "allkeys-lru")
        message = only(await collect(services.redis(settings)), Level.WARNING)
        assert "maxmemory-policy allkeys-lru" in message
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", 1)
        assert "refuses writes" in only(await collect(services.redis(settings)), Level.WRONG)
        await client.aclose(close_connection_pool=True)
    assert "REDIS_URL cannot be used" in only(await collect(services.redis(settings)), Level.WRONG)


def with_smtp_url(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"smtp_url": Url(url)})


async def test_mail_to_files_is_a_warning(settings: Settings) -> None:
    assert "SMTP_URL is not set" in only(await collect(services.mail(settings)), Level.WARNING)


async def test_an_unusable_mail_dir_is_reported(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unusable = settings.model_copy(update={"mail_dir": tmp_path / "file"})
    assert "MAIL_DIR is wrong" in only(await collect(services.mail(unusable)), Level.WRONG)


async def test_a_mail_server_is_only_logged_in_to(settings: Settings) -> None:
    async with run_mail_server() as sink:
        assert is_well(await collect(services.mail(with_smtp_url(settings, sink.url))))
        assert sink.mailbox == []
    only(await collect(services.mail(with_smtp_url(settings, sink.url))), Level.WRONG)


async def test_a_refused_password_is_reported_and_not_shown(settings: Settings) -> None:
    async with run_mail_server() as sink:
        with_password = sink.url.replace("//", "//user:secret@")
        message = only(
            await collect(services.mail(with_smtp_url(settings, with_password))), Level.WRONG
        )
        assert "secret" not in message


async def test_a_silent_mail_server_is_reported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_SMTP_TIMEOUT", 0.2)
    async with run_mail_server(Fault(Stage.GREETING)) as faulty:
        only(await collect(services.mail(with_smtp_url(settings, faulty.url))), Level.WRONG)
