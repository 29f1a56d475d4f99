"""The commands as a person calls them."""

import asyncio
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner, Result

from app.cli import commands
from app.cli.exit_codes import MISUSED
from app.cli.main import COMMANDS, cli
from app.database.engine import Database
from app.settings import DatabaseSettings
from tests.support.commands import run_command, run_process
from tests.support.history import KEY
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("child_processes", "own_logs")

NOBODY = "a4f5b6c7-0000-4000-8000-000000000000"
SETTINGS = {
    "DATABASE_URL": "postgresql://postgres@127.0.0.1:1/nothing",
    "AUDIT_KEY": KEY.get_secret_value(),
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def test_help_shows_each_command() -> None:
    answer = run_process("--help")
    assert answer.returncode == 0
    for command in COMMANDS:
        assert f"  {command} " in answer.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_shows_its_help(command: str) -> None:
    answer = CliRunner().invoke(cli, [command, "--help"])
    assert answer.exit_code == 0
    assert f"Usage: root {command} " in answer.stdout


def test_every_module_of_commands_is_listed() -> None:
    modules = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    assert modules == {module for module, _ in COMMANDS.values()}


def test_help_imports_no_command() -> None:
    check = "import sys; from app.cli.main import cli; cli(['--help'], standalone_mode=False);"
    check += "sys.exit('sqlalchemy' in sys.modules or 'app.settings' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, check=False
    )
    assert answer.returncode == 0


def test_an_unknown_command_is_refused() -> None:
    answer = CliRunner().invoke(cli, ["serv"])
    assert answer.exit_code == MISUSED
    assert "No such command 'serv'." in answer.stderr


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({**SETTINGS, "REDIS_URL": ""}, "REDIS_URL is not set."),
        (SETTINGS | {"AUDIT_KEY": "short"}, "AUDIT_KEY is wrong: Value should have at least 32"),
        (SETTINGS | {"DATABASE_URL": "mysql://db/x"}, "DATABASE_URL is wrong: the scheme must"),
        (SETTINGS | {"PROOF_MAX_BYTES": "0"}, "PROOF_MAX_BYTES is wrong: Input should be greater"),
        (SETTINGS | {"ISSUER_DETAILS": "{name"}, "ISSUER_DETAILS is wrong: not JSON: "),
        (SETTINGS | {"SMTP_URL": "http://mail"}, "SMTP_URL is wrong: URL scheme should be"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_ends_the_start(
    settings: dict[str, str], line: str
) -> None:
    answer = run_command("serve", **settings)
    assert answer.exit_code == 2
    assert answer.stderr.startswith(line)
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(("command", "name"), [("serve", "PROOF_DIR"), ("worker", "MAIL_DIR")])
def test_a_folder_that_cannot_be_written_to_ends_the_start(
    tmp_path: Path, command: str, name: str
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "folder"
    answer = run_command(command, **SETTINGS | {name: str(folder)})
    assert answer.exit_code == 2
    assert answer.stderr == f"{name} is wrong: {folder} is not writable: Not a directory.\n"


def test_every_problem_is_named() -> None:
    answer = run_process("serve")
    assert answer.stderr.splitlines() == [
        "DATABASE_URL is not set.",
        "AUDIT_KEY is not set.",
        "REDIS_URL is not set.",
    ]


def test_a_worker_that_nobody_heard_of_is_not_alive() -> None:
    answer = run_command("worker", "--check", **SETTINGS)
    assert answer.exit_code == 1
    assert answer.stderr == "No worker has reported to Redis in the last half minute.\n"


def test_a_database_that_does_not_answer_is_said_in_one_line() -> None:
    answer = run_process("migrate", DATABASE_URL="postgresql://someone:secret@127.0.0.1:1/nothing")
    assert answer.returncode == 1
    assert answer.stderr.startswith("The database postgresql+asyncpg://someone:***@127.0.0.1:1/")
    assert answer.stderr.count("\n") == 1


async def test_migrate_goes_up_and_down(empty_database_url: str) -> None:
    plain = make_url(empty_database_url).set(drivername="postgresql")
    url = plain.render_as_string(hide_password=False)

    async def tables() -> int:
        database = Database(DatabaseSettings(database_url=url))
        try:
            async with database.reading() as connection:
                found = await connection.exec_driver_sql(
                    "select count(*) from pg_tables where schemaname = 'public'"
                )
                return int(found.scalar_one())
        finally:
            await database.close()

    async def migrate(*arguments: str) -> Result:
        return await asyncio.to_thread(run_command, "migrate", *arguments, DATABASE_URL=url)

    assert (await migrate()).exit_code == 0
    assert await tables() > 10
    assert (await migrate()).exit_code == 0
    assert (await migrate("--to", "base", "--down")).exit_code == 0
    assert await tables() == 1  # Alembic's own

    unknown = await migrate("--to", "nowhere")
    assert unknown.exit_code == 1
    assert unknown.stderr == "Can't locate revision identified by 'nowhere'.\n"


@pytest.mark.parametrize(
    "command",
    [
        "token list",
        "token create someone",
        "user create someone",
        f"invoice cancel {NOBODY} --why none",
        "payment list",
        f"proof get {NOBODY}",
        "delivery list",
        "job close_month",
        "demo",
    ],
)
def test_a_database_that_is_not_migrated_is_said_in_one_line(
    empty_database_url: str, command: str
) -> None:
    answer = run_command(*command.split(), **SETTINGS | {"DATABASE_URL": empty_database_url})
    assert answer.exit_code == 1
    assert answer.stderr.startswith("The database is not migrated (")
    assert answer.stderr.endswith("): run `python -m app migrate`.\n")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "url",
    ["postgresql://someone:geheim@{}", "postgresql://{}?user=someone&password=geheim"],
)
def test_a_password_is_never_told(url: str) -> None:
    answer = run_process("token", "list", DATABASE_URL=url.format("127.0.0.1:1/nothing"))
    assert answer.returncode == 1
    assert "geheim" not in answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("command", "limits"),
    [
        ("token list", {"DATABASE_STATEMENT_TIMEOUT": "1"}),
        ("migrate --down --to base --patience 1", {}),
    ],
)
async def test_an_unavailable_database_is_reported_in_one_line(
    database: Database, database_url: str, command: str, limits: dict[str, str]
) -> None:
    settings = {"DATABASE_URL": database_url.replace("+asyncpg", ""), **limits}
    async with database.transaction() as connection:
        await connection.exec_driver_sql("LOCK TABLE tokens")
        answer = await asyncio.to_thread(run_command, *command.split(), **settings)
    assert answer.exit_code == 1
    assert answer.stderr.startswith("The database is unavailable: ")
    assert answer.stderr.endswith(" timeout.\n")
    assert answer.stderr.count("\n") == 1


def test_the_contract_is_printed_without_any_setting() -> None:
    answer = run_command("openapi")
    assert answer.exit_code == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["openapi"].startswith("3.1")
    assert "/api/invoices/" in document["paths"]
