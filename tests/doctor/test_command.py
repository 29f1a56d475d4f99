"""`python -m app doctor`, as an operator calls it."""

import json
import os
from pathlib import Path

import pytest

from app.doctor import runner
from app.doctor.check_result import Level
from app.doctor.configuration import Configuration
from app.settings import Settings
from tests.cli.test_commands import SETTINGS, app
from tests.support.postgresql_proxy import lossy

pytestmark = pytest.mark.usefixtures("child_processes")


async def test_a_service_that_is_well(database_url: str, redis_server: str, tmp_path: Path) -> None:
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_server,
        "AUDIT_KEY": os.environ["AUDIT_KEY"],
        "PROOF_DIR": str(tmp_path / "proofs"),
        "MAIL_DIR": str(tmp_path / "mail"),
        "MAIL_FROM": "billing@cloud.example",
    }
    answer = app("doctor", **environment)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    lines = [line.split()[:2] for line in answer.stdout.splitlines()]
    assert lines[:2] == [["warning", "settings"], ["well", "database"]]
    assert {level for level, _ in lines} == {"well", "warning"}
    assert "ISSUER_DETAILS" in answer.stdout.splitlines()[0]
    assert answer.stderr == ""


async def test_a_database_without_tables_is_told_in_a_line_for_each_check(
    empty_database_url: str, redis_server: str, tmp_path: Path
) -> None:
    environment = SETTINGS | {
        "DATABASE_URL": empty_database_url,
        "REDIS_URL": redis_server,
        "PROOF_DIR": str(tmp_path),
    }
    answer = app("doctor", "--json", **environment)
    assert answer.returncode == 1
    found = [
        (each["check"], each["found"])
        for each in json.loads(answer.stdout)["findings"]
        if each["level"] == "wrong"
    ]
    assert found == [
        ("revision", "the database is not migrated at all"),
        ("indexes", "none is there"),
        ("triggers", "none is there"),
    ]


def test_a_line_has_one_full_stop_at_the_end_of_a_sentence() -> None:
    answer = app("doctor", **SETTINGS | {"CURRENCY": "XAU"})
    (line,) = [each for each in answer.stdout.splitlines() if "CURRENCY is wrong" in each]
    assert ". See `Settings`" in line
    assert ".." not in line


def test_one_where_nothing_is_there() -> None:
    answer = app("doctor", "--json", **SETTINGS | {"PROOF_MAX_BYTES": "0"})
    assert answer.returncode == 1
    told = json.loads(answer.stdout)
    assert not told["well"]
    wrong = {each["check"]: each["found"] for each in told["findings"] if each["level"] == "wrong"}
    assert wrong["settings"] == "PROOF_MAX_BYTES is wrong: Input should be greater than 0."
    assert "cannot be reached" in wrong["database"]
    assert "cannot be used" in wrong["redis"]
    assert all(each["advice"] for each in told["findings"] if each["level"] != "well")


async def test_a_database_that_hangs_is_told_and_the_rest_goes_on(settings: Settings) -> None:
    settings.proof_dir.mkdir(exist_ok=True)
    async with lossy(settings.database_url) as (proxy, url):
        proxy.awake.clear()
        hanging = Configuration(settings.model_copy(update={"database_url": url}), frozenset(), ())
        examined = await runner.run_checks(hanging, 2)
        proxy.awake.set()
    (finding,) = examined.findings["database"]
    assert finding.level is Level.WRONG
    assert [each.level for each in examined.findings["disk"]] == [Level.WELL]
