"""The suite's result does not depend on the shell that starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("child_processes")

ROOT = Path(__file__).parent.parent
IN_THE_BACKGROUND = "trap '' HUP INT QUIT; exec \"$@\""
"""How a shell starts a job in the background of a script: these signals are ignored."""


def test_tests_pass_in_the_background_of_a_script_and_with_settings_in_the_environment() -> None:
    tests = (
        "tests/local/embedded/test_servers.py::test_servers_go_when_their_parent_is_asked_to",
        "tests/test_settings.py",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    ended = subprocess.run(
        ["sh", "-c", IN_THE_BACKGROUND, "sh", *command],
        cwd=ROOT,
        env=os.environ
        | {
            "CURRENCY": "JPY",
            "PGUSER": "nobody",
            "http_proxy": "http://127.0.0.1:9",
            "QUEUE_NAME": "other",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
