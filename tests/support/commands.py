"""Commands of `python -m app`."""

import os
import subprocess
import sys
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner, Result

from app.cli.main import cli
from app.settings import Settings
from tests.support.paths import ROOT


def run_command(*arguments: str, **settings: str) -> Result:
    """Run a command in this process, with these settings and no others.

    Saves the second that the imports of a new process take. Call it in another thread if an event
    loop runs: a command has its own.
    """
    none = dict.fromkeys(name.upper() for name in Settings.model_fields)
    return CliRunner().invoke(cli, arguments, env=none | settings)


def run_process(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, with these settings and no others."""
    environment = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")
    }
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def parse_command(arguments: list[str]) -> Any:
    """Parse arguments as `python -m app` does, and run nothing; raises UsageError."""
    command: Any = get_command(cli)
    words = list(arguments)
    while hasattr(command, "get_command"):
        command = command.get_command(None, words.pop(0))
    return command.make_context(command.name, words)
