"""Checks of Redis, the workers and the mail server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.doctor.check_result import CheckResult, warning, well, wrong
from app.jobs.worker import is_alive
from app.notifications.smtp import (
    PermanentDeliveryError,
    TemporaryDeliveryError,
    connect,
)
from app.redis import connection_pool, find_sentinel_problem, find_write_error
from app.server_urls import sentinel_url
from app.settings import Settings
from app.storage import write_problem

_REDIS_TIMEOUT: Final = 5.0
_SMTP_TIMEOUT: Final = 5.0


async def redis(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that Redis answers, accepts writes and does not evict notifications."""
    client = Redis.from_pool(connection_pool(settings, timeout=_REDIS_TIMEOUT))
    try:
        info = await client.info()
        refusal = await find_write_error(client, settings.queue_name)
    except (RedisError, OSError) as error:
        yield wrong(
            f"REDIS_URL cannot be used: {str(error).rstrip('.')}",
            "Start Redis or Valkey, or correct REDIS_URL; until then jobs start up to two"
            " seconds late.",
        )
        return
    finally:
        await client.aclose()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version", info.get("redis_version"))
    policy = info.get("maxmemory_policy", "noeviction")
    if refusal:
        yield wrong(
            f"{name} {version} refuses writes: {refusal.rstrip('.')}",
            "Free memory or disk, repair persistence or point REDIS_URL to the primary; until"
            " then jobs start up to two seconds late, and each process counts rates alone.",
        )
    elif info.get("maxmemory") and policy != "noeviction":
        yield warning(
            f"{name} {version} has the maxmemory-policy {policy}: when it is full it evicts"
            " notifications, and jobs start late",
            "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file.",
        )
    else:
        persistence = "on disk" if info.get("aof_enabled") else "in memory only"
        yield well(f"{name} {version}, with its data {persistence}; the service needs neither")


async def sentinels(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that each sentinel that REDIS_URL names answers and knows the master."""
    url = sentinel_url(settings.redis_url)
    if url is None:
        return
    problems = await asyncio.gather(
        *(find_sentinel_problem(url, each, _REDIS_TIMEOUT) for each in url.sentinels)
    )
    for sentinel, problem in zip(url.sentinels, problems, strict=True):
        if problem:
            yield warning(
                f"the sentinel {sentinel} is of no use: {problem.rstrip('.')}",
                "Start it, or correct REDIS_URL: a failover needs a majority of the sentinels.",
            )
    if not any(problems):
        yield well(f"all {len(problems)} sentinels know the master of {url.service}")


async def worker(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that a worker is alive on the queue."""
    if await is_alive(settings):
        yield well(f"a worker is alive on the queue {settings.queue_name}")
    else:
        yield warning(
            f"no worker is alive on the queue {settings.queue_name}",
            "Start `python -m app worker`; without it no mail is sent and no month is closed.",
        )


async def mail(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that the mail server accepts our login, without sending anything."""
    if settings.smtp_url is None:
        problem = await asyncio.to_thread(write_problem, settings.mail_dir)
        if problem:
            yield wrong(f"MAIL_DIR is wrong: {problem}", "Set SMTP_URL, or another MAIL_DIR.")
        else:
            yield warning(
                f"SMTP_URL is not set, so mail goes to files in {settings.mail_dir}",
                "Set SMTP_URL, unless no mail should be sent.",
            )
        return
    server = f"{settings.smtp_url.host}:{settings.smtp_url.port or 'the default port'}"
    try:
        transport = await connect(settings.smtp_url, _SMTP_TIMEOUT)
        encrypted, is_local = transport.encrypted, transport.is_local
        await transport.quit()
    except (TemporaryDeliveryError, PermanentDeliveryError) as failure:
        yield wrong(
            f"{server}: {str(failure).rstrip('.')}",
            "Correct SMTP_URL, or ask the operator of the mail server.",
        )
        return
    login = "with a password" if settings.smtp_url.username else "without a password"
    if not encrypted and not is_local:
        yield warning(
            f"{server} offers no STARTTLS, so mail is sent unencrypted",
            "Use smtps://, or a server that offers STARTTLS.",
        )
    else:
        channel = "encrypted" if encrypted else "on this machine"
        yield well(f"{server} accepts our login {login}, {channel}")
