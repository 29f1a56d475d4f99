"""Migrations run one at a time, do not block requests, and are retried if a table is busy."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from migrations import limits
from tests.database.test_migrations import alembic
from tests.support.paths import ROOT
from tests.support.worker import until

REVISION = '''"""{name}"""

from alembic import op

from migrations.limits import without_statement_timeout

revision = "{name}"
down_revision = "{before}"


def upgrade() -> None:
    {body}


def downgrade() -> None:
    pass
'''


class Revisions:
    """Migrations of the test's own behind those of the service."""

    def __init__(self, url: str, folder: Path) -> None:
        self.reports: list[str] = []
        self._folder = folder
        self._config: Config = alembic(url)
        places = [str(ROOT / "migrations" / "versions"), str(folder)]
        self._config.set_main_option("version_locations", os.pathsep.join(places))
        self._config.attributes.update(retry_seconds=20.0, report=self.reports.append)
        self._last = max(path.name[:4] for path in (ROOT / "migrations/versions").glob("0*.py"))

    def add(self, name: str, body: str) -> None:
        source = REVISION.format(name=name, before=self._last, body=body)
        (self._folder / f"{name}.py").write_text(source)
        self._last = name

    async def up(self) -> None:
        await asyncio.to_thread(command.upgrade, self._config, "head")

    async def elsewhere(self) -> asyncio.subprocess.Process:
        """Migrate in another process; Alembic does one migration in each."""
        options = ("sqlalchemy.url", "script_location", "prepend_sys_path", "version_locations")
        lines = [f"{name} = {self._config.get_main_option(name)}" for name in options]
        file = self._folder / "alembic.ini"
        file.write_text("\n".join(["[alembic]", "path_separator = os", *lines]).replace("%", "%%"))
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "alembic", "-c", str(file), "upgrade", "head", cwd=ROOT
        )


@pytest.fixture
def revisions(database_url: str, tmp_path: Path) -> Revisions:
    return Revisions(database_url, tmp_path)


async def version(connection: AsyncConnection) -> str:
    found = await connection.execute(text("SELECT version_num FROM alembic_version"))
    return str(found.scalar_one())


async def test_a_busy_table_is_retried_while_others_read_it(
    revisions: Revisions,
    database: Database,
    connection: AsyncConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LOCK_TIMEOUT", "300ms")
    revisions.add("first", 'op.execute("CREATE TABLE made_first (id int)")')
    revisions.add("second", 'op.execute("ALTER TABLE invoices ADD COLUMN added int")')
    slowest = 0.0
    async with database.transaction() as reader:
        await reader.execute(text("SELECT count(*) FROM invoices"))
        migrating = asyncio.create_task(revisions.up())
        while len(revisions.reports) < 2:
            assert not migrating.done(), migrating.result()
            started = time.monotonic()
            await connection.execute(text("SELECT count(*) FROM invoices"))
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.01)
        # Earlier revisions stay; the migration continues from there.
        assert await version(connection) == "first"
    await migrating
    assert await version(connection) == "second"
    assert revisions.reports[:2] == [
        f"A table is busy; trying again in {s} s." for s in ("0.5", "1")
    ]
    # A reader waits behind the migration, and no longer than that is allowed to wait.
    assert 0.1 < slowest < 10


async def test_a_slow_statement_is_cancelled_unless_its_revision_disables_the_timeout(
    revisions: Revisions, connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STATEMENT_TIMEOUT", "1s")
    slow = 'op.execute("SELECT pg_sleep(1.5)")'
    revisions.add("slow", f"with without_statement_timeout():\n        {slow}")
    revisions.add("again", slow)
    with pytest.raises(DatabaseUnavailable, match="statement timeout"):
        await revisions.up()
    assert await version(connection) == "slow"
    assert revisions.reports == []


async def test_instances_migrate_one_after_the_other_even_with_concurrent_indexes(
    revisions: Revisions, database: Database, connection: AsyncConnection
) -> None:
    index = "CREATE INDEX CONCURRENTLY added_index ON invoices (created)"
    revisions.add("table", 'op.execute("CREATE TABLE made_once (id int)")')
    revisions.add(
        "index", f'with op.get_context().autocommit_block():\n        op.execute("{index}")'
    )

    async def waits_for_the_writer() -> bool:
        found = await connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_progress_create_index"
                " WHERE datname = current_database()"
            )
        )
        return bool(found.scalar_one())

    async with database.transaction() as writer:
        # The index waits for the end of this; longer than a lock may be waited for.
        await writer.execute(text("LOCK TABLE invoices IN ROW EXCLUSIVE MODE"))
        migrating = asyncio.create_task(revisions.up())
        await until(waits_for_the_writer)
        another = await revisions.elsewhere()
        await asyncio.sleep(float(limits.LOCK_TIMEOUT.removesuffix("s")) + 0.2)
        # Others write meanwhile.
        await connection.execute(text("UPDATE invoices SET backend_id = ''"))
        assert another.returncode is None
    await migrating
    assert await another.wait() == 0
    assert await version(connection) == "index"
    valid = text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'added_index'::regclass")
    assert (await connection.execute(valid)).scalar_one()


async def test_an_error_of_a_revision_is_not_retried(revisions: Revisions) -> None:
    revisions.add("wrong", 'op.execute("SELECT 1 / 0")')
    with pytest.raises(DBAPIError, match="division by zero"):
        await revisions.up()
    assert revisions.reports == []
