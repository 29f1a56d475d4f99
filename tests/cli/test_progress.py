"""The progress of commands: a bar on a terminal, a line a minute elsewhere."""

import asyncio
import os
import pty
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from app.cli import progress as shown_progress
from app.cli.main import cli
from app.cli.progress import format_status, show_bar, show_progress, write_lines
from app.database.engine import Database
from app.progress import UNWATCHED, Part, Progress
from tests.support.factories import Factories
from tests.support.terminal import TerminalCommand, run_on_terminal

_END = b"\0"


@dataclass
class Timed:
    """A command that takes so many seconds, and its clock."""

    seconds: float
    progress: Progress
    rate: float = 0
    """Units a second."""
    now: float = 1000.0
    waited: float = 0

    def wait(self, timeout: float) -> bool:
        took = min(timeout, self.seconds - self.waited)
        self.waited += took
        self.now += took
        self.progress.advance(took * self.rate)
        return self.waited >= self.seconds

    def clock(self) -> float:
        return self.now


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Make a terminal of 80 columns standard error; yield a function that reads what it shows."""
    shown, ours = pty.openpty()

    def read() -> str:
        os.write(ours, _END)  # the kernel may pass text on after the call that wrote it
        text = b""
        while not text.endswith(_END):
            text += os.read(shown, 100_000)
        return text.removesuffix(_END).decode()

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    # Not in a fixture: pytest sets its own stream at the start of the test.
    with os.fdopen(ours, "w") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        yield read
    os.close(shown)


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (Part("rows", 20_000, 3000, began=40), "15 %, 3,000 of 20,000 rows, 50/s, 5:40 left"),
        (Part("rows", None, 1_234_567, began=40), "1,234,567 rows, 20,576/s, 1:40 elapsed"),
        (Part("bytes", 2e7, 1.5e7, began=0), "75 %, 15.0 MB of 20.0 MB, 0.1 MB/s, 0:33 left"),
        (Part("", 1, 0.25, began=0), "25 %, 5:00 left"),
        (Part("checks", 8, 1, began=0), "12 %, 1 of 8 checks, 0.01/s, 11:40 left"),
        (Part("entries", 10, 0, began=100), "0 %, 0 of 10 entries, 1:40 elapsed"),
        (Part("invoices", 0, 0, began=0), "0 of 0 invoices, 1:40 elapsed"),
        (Part(began=0), "1:40 elapsed"),
        # A total may be an estimate, and the end is yet to come when all rows are read.
        (Part("rows", 10, 11, began=0), "99 %, 11 of 10 rows, 0.11/s, 0:00 left"),
    ],
)  # fmt: skip
def test_the_status_has_amount_rate_and_time(part: Part, status: str) -> None:
    assert format_status(part, start=0, now=100) == status


def test_hours_are_shown() -> None:
    assert format_status(Part(), start=0, now=3 * 3600 + 62) == "3:01:02 elapsed"


def test_without_a_terminal_there_is_one_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.part = Part("rows", 1000, began=1000)
    command = Timed(200, progress, rate=4)
    write_lines("export", progress, command, command.clock)
    written = capsys.readouterr()
    assert written.err.splitlines() == [
        "export: 24 %, 240 of 1,000 rows, 4/s, 3:10 left",
        "export: 48 %, 480 of 1,000 rows, 4/s, 2:10 left",
        "export: 72 %, 720 of 1,000 rows, 4/s, 1:10 left",
    ]
    assert not written.out


def test_a_command_of_less_than_a_minute_writes_no_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = Timed(59, Progress())
    write_lines("export", command.progress, command, command.clock)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("seconds", "is_drawn"), [(1.9, False), (2.3, True)])
def test_a_bar_appears_after_two_seconds(
    seconds: float, is_drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress()
    progress.part = Part("rows", 100, began=1000)
    command = Timed(seconds, progress, rate=10)
    with terminal(monkeypatch) as read:
        show_bar("export", progress, command, command.clock)
        shown = read()
    assert ("20 %, 20 of 100 rows, 10/s, 0:08 left" in shown) is is_drawn


def test_the_bar_shows_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    class Command(Timed):
        def wait(self, timeout: float) -> bool:
            if self.waited > 2:
                self.progress.begin("checks")
            return super().wait(timeout)

    progress = Progress()
    progress.begin("rows", 100)
    command = Command(2.3, progress)
    with terminal(monkeypatch) as read:
        show_bar("import costs-of-a-long-name.csv.gz", progress, command, command.clock)
        shown = read()
    assert "import costs-of-a-l… " in shown
    assert "0 of 100 rows" in shown
    assert "0 checks, 0:02 elapsed" in shown


def test_a_hidden_command_starts_no_thread_and_need_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shown_progress, "Thread", None)
    with terminal(monkeypatch), show_progress("export", hidden=True) as progress:
        assert not progress.is_watched


def test_a_part_starts_anew() -> None:
    progress = Progress()
    progress.begin("rows", 10)
    progress.advance(4)
    progress.advance()
    assert progress.part.done == 5
    progress.begin("checks")
    assert (progress.part.unit, progress.part.total, progress.part.done) == ("checks", None, 0)
    progress.reach(7)
    assert progress.part.done == 7
    assert not UNWATCHED.is_watched


def test_the_display_ends_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        with show_progress("export"):
            assert _threads() == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert _threads() == 0
    assert capsys.readouterr() == ("", "")


def _threads() -> int:
    return sum(thread.name == "progress" for thread in threading.enumerate())


async def test_a_terminal_shows_a_bar_that_no_pipe_reads(
    database: Database, database_url: str, make: Factories, child_processes: None
) -> None:
    await make.invoice(await make.customer())

    def verify(command: TerminalCommand) -> None:
        command.read_until("elapsed")

    with run_on_terminal("audit", "verify", DATABASE_URL=database_url) as command:
        async with database.transaction() as connection:
            await connection.execute(text("LOCK TABLE invoice_history"))
            await asyncio.to_thread(verify, command)
        output = await asyncio.to_thread(command.finish, code=1)
    assert "audit verify" in command.shown
    assert output.decode().splitlines()[-1] == "Records: 0; entries: 0; discrepancies: 2."
    assert "\x1b" not in output.decode()


@pytest.mark.parametrize("target", ["-", "file"])
async def test_no_bar_is_among_the_lines_of_an_export(
    target: str, database_url: str, make: Factories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make.category()
    monkeypatch.setattr(shown_progress, "BAR_AFTER", 0)
    monkeypatch.setenv("DATABASE_URL", database_url)

    def export(output: str) -> str:
        with terminal(monkeypatch) as read, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", sys.stderr)
            cli(["export", "-o", output], standalone_mode=False)
            return read()

    output = target if target == "-" else str(tmp_path / target)
    shown = await asyncio.to_thread(export, output)
    if target == "-":
        assert shown.startswith('{"kind":"category"')
        assert "export" not in shown
    else:
        assert "export" in shown
        assert "checks" in shown  # its last part
