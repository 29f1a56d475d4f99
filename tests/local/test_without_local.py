"""The service runs without `app.local`, as in the container image."""

import os
import shutil
import subprocess
import sys
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


def run(image: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `python -m app` without settings."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=image,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("serve", "--help"), ("worker", "--help"), ("migrate", "--help"), ("openapi",)],
)
def test_other_commands_work(image: Path, arguments: tuple[str, ...]) -> None:
    ended = run(image, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("name", ["serve", "worker", "doctor"])
def test_servers_and_the_doctor_report_missing_settings(image: Path, name: str) -> None:
    ended = run(image, name)
    assert ended.returncode != 0
    assert "DATABASE_URL is not set." in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["run", "demo"])
def test_commands_for_development_machines_say_that_they_are_absent(image: Path, name: str) -> None:
    ended = run(image, name)
    assert ended.returncode == 1
    assert ended.stderr == f"`{name}` is not available here: app.local is not installed.\n"
