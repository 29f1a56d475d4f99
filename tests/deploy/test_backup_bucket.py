"""A backup of proofs in a bucket is restored whole, into another one, by the scripts."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.payments.models import Payment
from app.settings import Settings
from tests.deploy.test_backup import SCRIPTS, programs
from tests.payments.payment_case import PaymentCase
from tests.support.factories import Factories
from tests.support.object_store import ObjectStore
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(bucket_settings: Settings) -> Settings:
    return bucket_settings


async def call(*command: str | Path, **environment: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("in_phases", [False, True])
async def test_a_backup_of_a_bucket_is_restored(
    *,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    make: Factories,
    settings: Settings,
    object_store: ObjectStore,
    empty_database_url: str,
    tmp_path: Path,
    in_phases: bool,
) -> None:
    case = await PaymentCase.prepare(client, connection, make)
    taken = await case.is_taken()
    found = await programs(connection)
    environment = {
        "PATH": f"{found}:{os.environ['PATH']}",
        "DATABASE_URL": settings.database_url.replace("+asyncpg", ""),
        **object_store.environment(),
        "PYTHON": sys.executable,
    }
    other = environment | {
        "DATABASE_URL": empty_database_url.replace("+asyncpg", ""),
        "PROOF_STORE": "s3://restored/below",
    }
    object_store.buckets["restored"] = {}
    folder, copy = tmp_path / "backups", (sys.executable, "-m", "app", "proof", "copy")
    backup, restore = SCRIPTS / "backup.sh", SCRIPTS / "restore.sh"
    if in_phases:
        assert await call(backup, folder, "dump", **environment) == ""
        await call(*copy, "s3://bucket", folder / "proofs", **environment)
        dump = Path(await call(backup, folder, "finish", **environment))
        await call(restore, dump, "verify", **other)
        await call(*copy, "--no-database", folder / "proofs", "s3://restored/below", **other)
        await call(restore, dump, "database", **other)
    else:
        dump = Path(await call(backup, folder, **environment))
        await call(restore, dump, **other)
    assert {path.name: path.read_bytes() for path in (folder / "proofs").iterdir()} == taken
    restored = object_store.buckets["restored"]
    assert {key: each.content for key, each in restored.items()} == {
        f"below/{key}": content for key, content in taken.items()
    }
    database = Database(settings.model_copy(update={"database_url": empty_database_url}))
    async with database.reading() as reading:
        assert (await reading.execute(select(func.count()).select_from(Payment))).scalar_one() == 1
    await database.close()
