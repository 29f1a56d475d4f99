"""`python -m app doctor`, as an operator calls it."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from app.doctor import runner
from app.doctor.check_result import Level
from app.doctor.configuration import Configuration
from app.settings import Settings
from tests.cli.test_commands import SETTINGS
from tests.support.commands import run_command
from tests.support.proxy import postgresql_proxy

pytestmark = pytest.mark.usefixtures("own_logs")


async def test_a_working_service_is_well(
    database_url: str, redis_server: str, tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_server,
        "AUDIT_KEY": os.environ["AUDIT_KEY"],
        "PROOF_DIR": str(tmp_path / "proofs"),
        "MAIL_DIR": str(tmp_path / "mail"),
        "MAIL_FROM": "billing@cloud.example",
    }
    answer = await asyncio.to_thread(run_command, "doctor", **environment)
    assert answer.exit_code == 0, answer.stdout + answer.stderr
    lines = [line.split()[:2] for line in answer.stdout.splitlines()]
    assert lines[:2] == [["warning", "settings"], ["well", "database"]]
    assert {level for level, _ in lines} == {"well", "warning"}
    assert "ISSUER_DETAILS" in answer.stdout.splitlines()[0]
    assert answer.stderr == ""


async def test_an_empty_database_is_reported_in_one_line(
    empty_database_url: str, redis_server: str, tmp_path: Path
) -> None:
    environment = SETTINGS | {
        "DATABASE_URL": empty_database_url,
        "REDIS_URL": redis_server,
        "PROOF_DIR": str(tmp_path),
    }
    answer = await asyncio.to_thread(run_command, "doctor", "--json", **environment)
    assert answer.exit_code == 1
    findings = json.loads(answer.stdout)["findings"]
    assert [(each["check"], each["found"]) for each in findings if each["level"] == "wrong"] == [
        ("revision", "the database is not migrated, so it has no tables to check")
    ]
    assert "relation" not in answer.stdout


def test_a_line_has_one_full_stop_at_the_end_of_a_sentence() -> None:
    answer = run_command("doctor", **SETTINGS | {"CURRENCY": "XAU"})
    (line,) = [each for each in answer.stdout.splitlines() if "CURRENCY is wrong" in each]
    assert ". See `Settings`" in line
    assert ".." not in line


def test_unreachable_servers_and_an_invalid_setting_are_reported() -> None:
    answer = run_command("doctor", "--json", **SETTINGS | {"PROOF_MAX_BYTES": "0"})
    assert answer.exit_code == 1
    document = json.loads(answer.stdout)
    assert not document["well"]
    findings = document["findings"]
    wrong = {each["check"]: each["found"] for each in findings if each["level"] == "wrong"}
    assert wrong["settings"] == "PROOF_MAX_BYTES is wrong: Input should be greater than 0."
    assert "cannot be reached" in wrong["database"]
    assert "cannot be used" in wrong["redis"]
    assert all(each["advice"] for each in findings if each["level"] != "well")


async def test_a_hanging_database_does_not_stop_the_other_checks(settings: Settings) -> None:
    settings.proof_dir.mkdir(exist_ok=True)
    async with postgresql_proxy(settings.database_url) as proxy:
        proxy.forwards_replies.clear()
        hanging = Configuration(
            settings.model_copy(update={"database_url": proxy.url}), frozenset(), ()
        )
        outcome = await runner.run_checks(hanging, 2)
        proxy.forwards_replies.set()
    (result,) = outcome.by_check["database"]
    assert result.level is Level.WRONG
    assert [each.level for each in outcome.by_check["proof store"]] == [Level.WELL]
