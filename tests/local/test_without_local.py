"""The service runs without `app.local`, as in the container image."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("child_processes")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the image has."""
    folder = tmp_path_factory.mktemp("image")
    shutil.copy(ROOT / "alembic.ini", folder)
    shutil.copytree(ROOT / "migrations", folder / "migrations")
    assert "\napp/local\n" in (ROOT / ".dockerignore").read_text()
    # With the compiled modules: the image has some, too.
    shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("local"))
    assert not (folder / "app" / "local").exists()
    return folder


WORKING = (
    "--help",
    "serve --help",
    "worker --help",
    "migrate --help",
    "openapi",
)
WITHOUT_SETTINGS = ("serve", "worker", "doctor")
ABSENT = ("run", "demo")
RUN_EACH = """
import json, sys
from typer.testing import CliRunner
from app.cli.main import cli

ended = {words: CliRunner().invoke(cli, words.split()) for words in sys.argv[1:]}
json.dump({words: (each.exit_code, each.stdout, each.stderr) for words, each in ended.items()},
          sys.stdout)
"""
"""A program that runs the commands one after the other: a process each would import all again."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    errors: str


@pytest.fixture(scope="module")
def ended(image: Path) -> dict[str, Ended]:
    """Every command of these tests, run without settings."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN_EACH, *WORKING, *WITHOUT_SETTINGS, *ABSENT],
        cwd=image,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return {words: Ended(*each) for words, each in json.loads(ran.stdout).items()}


@pytest.mark.parametrize("words", WORKING)
def test_other_commands_work(ended: dict[str, Ended], words: str) -> None:
    assert (ended[words].code, ended[words].errors) == (0, "")


@pytest.mark.parametrize("name", WITHOUT_SETTINGS)
def test_servers_and_the_doctor_report_missing_settings(ended: dict[str, Ended], name: str) -> None:
    assert ended[name].code != 0
    assert "DATABASE_URL is not set." in ended[name].output + ended[name].errors


@pytest.mark.parametrize("name", ABSENT)
def test_commands_for_development_machines_say_that_they_are_absent(
    ended: dict[str, Ended], name: str
) -> None:
    assert ended[name].code == 1
    assert ended[name].errors == (f"`{name}` is not available here: app.local is not installed.\n")
