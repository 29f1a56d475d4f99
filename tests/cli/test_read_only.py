"""Commands on a database that takes no changes: one clear line, and those that read go on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.settings import Settings
from tests.support.commands import run_command
from tests.support.factories import Factories
from tests.support.history import KEY
from tests.support.read_only import made_read_only

pytestmark = pytest.mark.usefixtures("own_logs")

CUSTOMER = (
    '{"kind": "customer", "uuid": "8a2b0d9e-3c7f-4d54-9c4e-0d4c1f0a5b61", "name": "A",'
    ' "created_at": "2026-01-01T00:00:00Z", "accounting_start_date": "2026-01-01T00:00:00Z"}\n'
)


@pytest.fixture
async def environment(
    settings: Settings, make: Factories, tmp_path: Path
) -> AsyncIterator[dict[str, str]]:
    """The settings that a command needs to reach a database that has just been made read-only."""
    await make.customer()
    (tmp_path / "a.jsonl").write_text(CUSTOMER)
    async with made_read_only(settings.database_url, ending_sessions=False):
        yield {
            "DATABASE_URL": settings.database_url,
            "AUDIT_KEY": KEY.get_secret_value(),
            "REDIS_URL": settings.redis_url,
            "PROOF_DIR": str(settings.proof_dir),
            "MAIL_DIR": str(settings.mail_dir),
        }


@pytest.mark.parametrize(
    ("command", "begins"),
    [
        (("user", "create", "ada"), "The database is unavailable: it is read-only ("),
        (("job", "close_month"), "The database is unavailable: it is read-only ("),
        (("migrate", "--down", "--to", "base"), "The database is unavailable: it is read-only"),
        (("import", "a.jsonl"), "a.jsonl: nothing was imported: the database is unavailable"),
    ],
)
async def test_a_command_that_changes_something_ends_with_one_line(
    environment: dict[str, str], tmp_path: Path, command: tuple[str, ...], begins: str
) -> None:
    arguments = [str(tmp_path / each) if each == "a.jsonl" else each for each in command]
    answer = await asyncio.to_thread(run_command, *arguments, **environment)
    assert answer.exit_code == 1, answer.stderr
    error_text = answer.stderr
    assert error_text.count("\n") == 1, error_text
    (line,) = error_text.replace(f"{tmp_path}/", "").splitlines()
    assert line.startswith(begins)
    assert line.endswith(" in a read-only transaction).")


@pytest.mark.parametrize("command", [("export",), ("audit", "verify"), ("delivery", "list")])
async def test_a_command_that_reads_goes_on(
    environment: dict[str, str], command: tuple[str, ...]
) -> None:
    answer = await asyncio.to_thread(run_command, *command, **environment)
    assert answer.exit_code == 0, answer.stderr
