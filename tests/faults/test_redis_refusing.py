"""Redis refuses writes: probes and doctor report it, and no change is lost."""

import json
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState, InvoiceState
from app.deliveries.models import Delivery
from app.doctor import services
from app.doctor.check_result import Level
from app.identity.tokens import token_digest
from app.local.embedded.valkey import EmbeddedValkey
from app.settings import Settings
from tests.doctor.results import collect
from tests.support.factories import Factories
from tests.support.server import run_server
from tests.support.worker import until, worker_process


async def _full(redis: Redis, _server: EmbeddedValkey) -> None:
    await redis.config_set("maxmemory", 1)


async def _replica(redis: Redis, _server: EmbeddedValkey) -> None:
    await redis.replicaof("127.0.0.1", 1)


async def _unsaved(redis: Redis, server: EmbeddedValkey) -> None:
    """Let it fail to save its data, after which it takes no more."""
    await redis.config_set("save", "3600 1")
    shutil.rmtree(server.data)

    async def has_failed() -> bool:
        with suppress(ResponseError):  # one is running
            await redis.bgsave()
        return (await redis.info("persistence"))["rdb_last_bgsave_status"] == "err"  # type: ignore[no-any-return]  # redis has no types here

    await until(has_failed)


WAYS: dict[str, tuple[Callable[[Redis, EmbeddedValkey], Awaitable[None]], str]] = {
    "full": (_full, "when used memory > 'maxmemory'"),
    "replica": (_replica, "You can't write against a read only replica"),
    "unsaved": (_unsaved, "MISCONF"),
}
"""Each way to refuse, and what Redis says of it."""


@pytest.mark.parametrize(
    "way",
    # A Redis that cannot save takes half a minute to end.
    ["full", *(pytest.param(way, marks=pytest.mark.slow) for way in ("replica", "unsaved"))],
)
async def test_the_service_works_while_redis_refuses_writes(
    way: str,
    connection: AsyncConnection,
    make: Factories,
    settings: Settings,
    tmp_path: Path,
) -> None:
    refuse, words = WAYS[way]
    staff = await make.staff()
    customer = await make.customer()
    await make.owner(customer)
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(invoice)

    async def is_sent() -> bool:
        sent = select(func.count()).where(Delivery.state == DeliveryState.SENT)
        return (await connection.execute(sent)).scalar_one() == 1

    with EmbeddedValkey(tmp_path / "valkey") as server:
        settings = settings.model_copy(update={"redis_url": server.url})
        environment = {
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "QUEUE_NAME": settings.queue_name,
            "RATE_LIMIT_TOKEN": "1000/minute",
        }
        worker_log = tmp_path / "worker.log"
        async with (
            Redis.from_url(server.url) as redis,
            run_server(environment, tmp_path) as api,
            httpx.AsyncClient(base_url=api.url, headers=staff.headers, timeout=30) as client,
            worker_process(settings, log=worker_log),
        ):
            ready = await client.get("/health/ready")
            assert ready.json() == {"status": "ok", "database": "ok", "redis": "ok"}
            await refuse(redis, server)
            ready = await client.get("/health/ready")
            assert ready.status_code == 200
            assert ready.json() == {
                "status": "degraded",
                "database": "ok",
                "redis": "refuses writes",
            }
            [result] = await collect(services.redis(settings))
            assert result.level is Level.WRONG
            assert words in result.message

            path = f"/api/invoices/{invoice.uuid}/send_notification/"
            assert (await client.post(path)).status_code == 200
            await until(is_sent)

            async def is_told() -> bool:
                return "rate limits not shared" in api.log.read_text()

            await until(is_told)

    lines = [*api.log.read_text().splitlines(), *worker_log.read_text().splitlines()]
    levels = {json.loads(line)["level"] for line in lines}
    assert levels <= {"info", "warning"}
    name = token_digest(staff.key)
    for secret in (staff.key, name, name[:32], name[:16], name[16:32]):
        assert not [line for line in lines if secret in line]
