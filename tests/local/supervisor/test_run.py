"""`python -m app run`, which `make run` calls, from a newcomer's first start to the end."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.local.embedded.postgresql import EmbeddedPostgresql

ROOT = Path(__file__).parents[3]
KEY = re.compile(r"^  (\w+) +([0-9a-f]{40})  ", re.MULTILINE)

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them"),
    pytest.mark.usefixtures("child_processes"),
]


def environment() -> dict[str, str]:
    """A machine that has nothing: no server is named."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG")
    return {name: value for name, value in os.environ.items() if name in kept}


class Run:
    """A run of the service; `greeting` is the text that it printed until it was ready."""

    def __init__(self, data: Path, *arguments: str, before: tuple[str, ...] = ()) -> None:
        command = [*before, sys.executable, "-m", "app", "run", "--data", str(data), *arguments]
        self.errors = (data.parent / "errors").open("w+")
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        self.greeting = "".join(lines)
        assert "Ctrl-C" in self.greeting, self.greeting + self.error_output()
        self.tokens = dict(KEY.findall(self.greeting))
        found = re.search(r"ready at (\S+);", self.greeting)
        assert found is not None
        self.address = found[1]
        self.family = list(descendants(self.process.pid))

    def error_output(self) -> str:
        """The text on standard error."""
        self.errors.flush()
        return Path(self.errors.name).read_text()

    def member(self, word: str, *, but: int = 0) -> int:
        """The process id of the member of the family whose command has the word, once there."""
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            for pid in descendants(self.process.pid):
                command = command_line(pid)
                if pid != but and word in command and "child_process.py" not in command:
                    return pid
            time.sleep(0.05)
        raise AssertionError(f"There is no {word}.")

    def wait(self) -> int:
        """The exit code, once everyone has gone."""
        code = self.process.wait(60)
        give_up = time.monotonic() + 60
        while any(command_line(pid) for pid in self.family):
            assert time.monotonic() < give_up, [command_line(pid) for pid in self.family]
            time.sleep(0.05)
        return code

    def close(self) -> None:
        """Leave nothing behind, whatever the test found."""
        self.process.kill()
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


def command_line(pid: int) -> str:
    """The command of a process, with spaces; nothing if it is gone (or a zombie)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service of these tests keeps its data, from one run to the next."""
    return tmp_path_factory.mktemp("run") / "var"


def test_a_newcomers_first_two_runs(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        first = Run(data, "--port", str(busy))
    try:
        assert f"Port {busy} is busy; using " in first.greeting
        assert "Loaded a demonstration: " in first.greeting
        assert set(first.tokens) == {"staff", "support", "owner"}
        calls = [line.strip() for line in first.greeting.splitlines() if line.startswith("  curl ")]
        assert len(calls) == 3
        answers = [answer_to(call) for call in calls]
        assert all(answers)
        # The first thing that a newcomer sees is an invoice as it is sent to customers.
        (invoice,) = answers[0]
        assert invoice["state"] == "created"
        assert invoice["items"]
        assert all(invoice["issuer_details"].values()), invoice["issuer_details"]
        shown = re.findall(r"http\S+/metrics", first.greeting)
        assert len(shown) == 2
        for metrics in shown:
            assert "invoicing_build_info{" in httpx.get(metrics).text
        # The printed settings let other commands find the same data.
        # It is made once, for its owner alone, and printed for users who may run commands here.
        kept = data / "audit-key"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert f"AUDIT_KEY={kept.read_text().strip()} " in first.greeting
        commands = re.findall(r"^  (export .*)\n  (.*) --help$", first.greeting, re.MULTILINE)
        ((settings, app),) = commands
        listed = subprocess.run(
            ["sh", "-c", f"{settings}\n{app} token list demo-owner"],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert " active" in listed.stdout
        first.process.send_signal(signal.SIGINT)
        assert first.wait() == 0
        assert "Traceback" not in first.error_output()
    finally:
        first.close()

    started = time.monotonic()
    second = Run(data, "--port", "0")
    try:
        assert time.monotonic() - started < 60
        assert "Loaded" not in second.greeting
        assert set(second.tokens) == set(first.tokens)
        old, new = (
            httpx.get(
                f"{second.address}/api/invoices/",
                headers={"Authorization": f"Token {run.tokens['staff']}"},
                timeout=30,
            )
            for run in (first, second)
        )
        assert (old.status_code, new.status_code) == (401, 200)
        assert int(new.headers["X-Result-Count"]) > 0
        second.process.send_signal(signal.SIGTERM)
        assert second.wait() == 0
        assert "Traceback" not in second.error_output()
    finally:
        second.close()


def answer_to(call: str) -> Any:
    """The response to a printed curl line; without curl, to the same request."""
    words = shlex.split(call)
    if shutil.which("curl"):
        words.append("--fail-with-body")
        printed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(printed.stdout)
    name, _, value = words[words.index("-H") + 1].partition(": ")
    return httpx.get(words[-1], headers={name: value}, timeout=60).raise_for_status().json()


def test_nothing_is_left_when_it_is_killed(data: Path) -> None:
    run = Run(data, "--port", "0")
    try:
        assert len(run.family) > 3
        run.process.kill()
        run.wait()
    finally:
        run.close()


def test_nothing_is_left_when_the_caller_is_killed(data: Path) -> None:
    caller = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    run = Run(data, "--port", "0", "--stop-with-parent", before=(sys.executable, "-c", caller))
    try:
        assert len(run.family) > 4
        run.process.kill()
        run.wait()
    finally:
        run.close()


def test_the_end_of_the_worker_is_mended_and_that_of_the_api_is_the_end(data: Path) -> None:
    run = Run(data, "--port", "0")
    try:
        worker = run.member("-m app worker")
        os.kill(worker, signal.SIGKILL)
        run.member("-m app worker", but=worker)
        assert "The worker ended with code -9; restarting it in 1 s." in run.error_output()
        os.kill(run.member("-m app serve"), signal.SIGKILL)
        assert run.wait() == 1
        assert "The API ended unexpectedly with code -9." in run.error_output()
        assert "Traceback" not in run.error_output()
    finally:
        run.close()


def test_the_end_of_a_server_is_the_end(data: Path) -> None:
    run = Run(data, "--port", "0")
    try:
        os.kill(run.member("valkey-server"), signal.SIGKILL)
        assert run.wait() == 1
        assert "Valkey stopped unexpectedly: " in run.error_output()
    finally:
        run.close()


def test_a_second_run_on_the_same_data_is_refused_in_one_line(data: Path) -> None:
    with EmbeddedPostgresql(data / "postgresql"):
        command = [sys.executable, "-m", "app", "run", "--data", str(data), "--port", "0"]
        second = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert second.stderr.endswith(f", for process {os.getpid()}.\n")
        assert second.stderr.count("\n") == 1
