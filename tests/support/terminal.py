"""Commands of `python -m app` whose standard error is a terminal."""

import os
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from subprocess import PIPE, Popen
from typing import IO

from tests.support.paths import ROOT


@dataclass
class TerminalCommand:
    """A running command, and the text that its terminal has shown."""

    process: Popen[bytes]
    terminal: int
    shown: str = ""
    _pending: bytes = field(default=b"", repr=False)

    def read_until(self, text: str) -> None:
        """Read until the terminal has shown a text; fail if the command ends before."""
        while text not in self.shown:
            assert self._read(), f"{text!r} was not shown: {self.shown!r}"

    def finish(self, code: int = 0) -> bytes:
        """Wait for the end of the command; return its standard output, if that is a pipe."""
        output = b"" if self.process.stdout is None else _read_all(self.process.stdout)
        while self._read():
            pass
        assert self.process.wait() == code, self.shown
        return output

    def _read(self) -> bool:
        try:
            piece = os.read(self.terminal, 10_000)
        except OSError:  # on Linux, no process writes any more
            return False
        self._pending += piece
        self.shown = self._pending.decode(errors="ignore")
        return bool(piece)


def _read_all(stream: IO[bytes]) -> bytes:
    return stream.read()


@contextmanager
def run_on_terminal(
    *arguments: str, pipe: bool = True, **settings: str
) -> Iterator[TerminalCommand]:
    """Start a command on a terminal of 80 columns; its standard output may be a pipe instead."""
    terminal, ours = pty.openpty()
    try:
        with Popen(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **settings},
            stdout=PIPE if pipe else ours,
            stderr=ours,
        ) as process:
            os.close(ours)
            try:
                yield TerminalCommand(process, terminal)
            finally:
                process.kill()
    finally:
        os.close(terminal)
