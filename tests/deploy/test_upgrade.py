"""A new version takes over from the one before it, under load, without a failed request.

The code of the version before is that of the history before the newest migration.
"""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic.script import ScriptDirectory
from pydantic_core import Url
from sqlalchemy import make_url

from app.database.engine import Database
from app.settings import Settings
from faults.cleanup import wait_for_deliveries
from faults.comparison import compare
from faults.dataset import Dataset, create_dataset
from faults.load import LoadGenerator
from faults.request_log import Kind
from tests.deploy.previous import code_before_migration
from tests.support.commands import run_command
from tests.support.databases import migrate
from tests.support.history import KEY
from tests.support.paths import ROOT
from tests.support.server import run_server
from tests.support.smtp import run_mail_server
from tests.support.worker import worker_process

CUSTOMERS = 25
RECORD_SINCE = "0025"
"""The newest migration with which changes are recorded; earlier ones are adopted afterwards."""
PATIENCE = 60.0
"""Seconds until every mail is out, or a process has ended."""


async def run(code: Path, environment: dict[str, str], *arguments: str) -> None:
    """Run a command of a version of the service."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", *arguments],
        cwd=code,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def ready(url: str) -> tuple[int, str]:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/health/ready")
    return answer.status_code, answer.json()["database"]


async def untouched(url: str, dataset: Dataset) -> list[dict[str, Any]]:
    """Return the responses for the invoices that the load leaves unchanged; all must be listed."""
    month = dataset.untouched_period
    async with httpx.AsyncClient(base_url=url, headers=dataset.headers) as client:
        listed = await client.get(f"/api/invoices/?year={month.year}&month={month.month}")
        answers = [await client.get(f"/api/invoices/{one.uuid}/") for one in dataset.untouched]
    assert listed.headers["X-Result-Count"] == str(CUSTOMERS)
    return [answer.raise_for_status().json() for answer in answers]


def contains_all_of(older: list[dict[str, Any]], newer: list[dict[str, Any]]) -> bool:
    """Whether a newer version, which may send more, answers as the older one did."""
    return all(old.items() <= new.items() for old, new in zip(older, newer, strict=True))


@pytest.mark.usefixtures("own_logs")
@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2])
async def test_a_new_version_takes_over_under_load(
    steps: int, empty_database_url: str, tmp_path: Path
) -> None:
    old = code_before_migration(steps, tmp_path / "old")
    dataset = create_dataset(CUSTOMERS)
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(run_mail_server())
        settings = Settings(
            database_url=empty_database_url,
            database_pool_size=8,
            queue_name=make_url(empty_database_url).database or "",
            smtp_url=Url(sink.url),
            proof_dir=tmp_path / "proofs",
        )
        environment: dict[str, Any] = {
            "DATABASE_URL": empty_database_url,
            "DATABASE_POOL_SIZE": "8",
            "QUEUE_NAME": settings.queue_name,
            "PROOF_DIR": str(settings.proof_dir),
            "PUBLIC_URL": "https://billing.example.com",
            "AUDIT_KEY": KEY.get_secret_value(),
        }
        revision = ScriptDirectory(str(old / "migrations")).get_current_head()
        assert revision is not None
        await asyncio.to_thread(migrate, empty_database_url, revision)
        await run(old, environment, "import", str(dataset.write(tmp_path)))
        (tmp_path / "new").mkdir()
        before = await stack.enter_async_context(run_server(environment, old, code=old))
        worker_before = await stack.enter_async_context(
            worker_process(settings, code=str(old), **environment)
        )
        expected = await untouched(before.url, dataset)
        urls = [before.url]
        load = LoadGenerator(urls, dataset)
        async with load.running():
            await load.wait_until_healthy()
            migrated = await asyncio.to_thread(run_command, "migrate", **environment)
            assert migrated.exit_code == 0, migrated.output
            assert await ready(before.url) == (200, "ok")
            assert await untouched(before.url, dataset) == expected
            after = await stack.enter_async_context(run_server(environment, tmp_path / "new"))
            await stack.enter_async_context(worker_process(settings, **environment))
            assert await ready(after.url) == (200, "ok")
            urls.append(after.url)
            await load.wait_until_healthy()
            assert await untouched(before.url, dataset) == expected
            assert contains_all_of(expected, await untouched(after.url, dataset))
            urls.remove(before.url)
            before.process.send_signal(signal.SIGTERM)
            worker_before.terminate()
            assert await asyncio.to_thread(before.process.wait, PATIENCE) == 0
            assert await asyncio.wait_for(worker_before.wait(), PATIENCE) == 0
            await load.wait_until_healthy()
        assert contains_all_of(expected, await untouched(after.url, dataset))
        if revision < RECORD_SINCE:
            await run(ROOT, environment, "audit", "adopt", "--why", "an older version")
        database = Database(settings)
        await wait_for_deliveries(database, PATIENCE)
        findings = await compare(database, settings, sink, load)
        await database.close()
    assert findings.lines() == []
    assert findings.errors == {}
    assert len(load.request_log.of(Kind.PAID)) < len(dataset.to_pay), (
        "the load ended before the change"
    )
