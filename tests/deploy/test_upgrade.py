"""A new version takes over from the one before it, under load, and nobody notices.

The code of the version before is that of the history before the newest migration.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic.script import ScriptDirectory
from pydantic_core import Url
from sqlalchemy import make_url

from app.database.engine import Database
from app.payments.proofs import ProofStore
from app.settings import Settings
from tests.conftest import ROOT, migrate
from tests.deploy.books import make_books
from tests.deploy.ledger import Load, all_are_sent, compare, each_got_one
from tests.deploy.previous import code_before_migration
from tests.support import tallies
from tests.support.server import run_server
from tests.support.smtp import mail_sink
from tests.support.worker import worker_process

CUSTOMERS = 25
WHILE = 0.5
"""Seconds of load before, between and after the steps."""


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


@pytest.mark.parametrize("steps", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_a_new_version_takes_over_under_load(
    steps: int, empty_database_url: str, tmp_path: Path
) -> None:
    old = code_before_migration(steps, tmp_path / "old")
    books = make_books(CUSTOMERS)
    books.write(tmp_path / "books.jsonl")
    async with mail_sink() as sink:
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
            "AUDIT_KEY": "0" * 64,
        }
        revision = ScriptDirectory(str(old / "migrations")).get_current_head()
        assert revision is not None
        await asyncio.to_thread(migrate, empty_database_url, revision)
        await run(old, environment, "import", str(tmp_path / "books.jsonl"))
        (tmp_path / "new").mkdir()
        async with (
            run_server(environment, old, code=old) as before,
            worker_process(settings, code=str(old), **environment) as worker_before,
        ):
            load = Load(
                books,
                [before.url],
                lambda url: httpx.AsyncClient(base_url=url, headers=books.headers, timeout=30),
            )
            await load.learn()
            async with load.running() as ledger:
                await asyncio.sleep(WHILE)
                await run(ROOT, environment, "migrate")
                assert await ready(before.url) == (200, "ok")
                await asyncio.sleep(WHILE)
                async with (
                    run_server(environment, tmp_path / "new") as after,
                    worker_process(settings, **environment),
                ):
                    assert await ready(after.url) == (200, "ok")
                    load.targets.append(after.url)
                    await asyncio.sleep(WHILE)
                    load.targets.remove(before.url)
                    before.process.send_signal(signal.SIGTERM)
                    worker_before.terminate()
                    assert await asyncio.to_thread(before.process.wait, 30) == 0
                    assert await asyncio.wait_for(worker_before.wait(), 30) == 0
                    await asyncio.sleep(WHILE)
                    await load.stop()
                    database = Database(settings)
                    async with database.reading() as connection:
                        assert ledger.faults == []
                        await all_are_sent(connection, len(ledger.notified))
                        await compare(
                            ledger,
                            connection,
                            ProofStore(settings.proof_dir, settings.proof_max_bytes),
                        )
                        await tallies.check(connection)
                    await database.close()
    each_got_one(books, ledger.notified, sink)
    assert {what for what, _ in ledger.answers} == {"retrieve", "list", "paid", "set", "notify"}
    assert len(ledger.paid) < len(books.to_pay), "the load ended before the change of versions"
