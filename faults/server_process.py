"""A server that refuses to run as root, as a child of the suite."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

from app.local.embedded.accounts import unprivileged_account
from app.server.child_process import with_parent_death_signal
from faults.programs import Program

_STOP_SECONDS = 30.0


class ServerProcess:
    """A program that runs in a folder, as the owner of the folder."""

    def __init__(
        self,
        program: Program,
        arguments: Sequence[str],
        folder: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log = folder / "output.log"
        self._program = program
        self._arguments = arguments
        self._folder = folder
        self._stop_signal = stop_signal
        self._process: Process | None = None

    async def start(self) -> None:
        """Start the program; it may not answer yet."""
        account = unprivileged_account(self._folder)
        command = [str(self._program.path), *self._arguments]
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *with_parent_death_signal(command, self._stop_signal, account),
                cwd=self._folder,
                env={
                    "PATH": os.defpath,
                    "LC_ALL": "C.UTF-8",
                    "TZ": "UTC",
                    "HOME": str(self._folder),
                    **self._program.environment,
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                # Ctrl-C would reach every process of the terminal's group.
                process_group=0,
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def check(self) -> None:
        """Raise RuntimeError with the end of the log if the process has ended."""
        if self._process is not None and self._process.returncode is not None:
            log = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self._program.path.name} ended: {log}")

    async def kill(self) -> None:
        """Kill the process."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """Stop the process by its signal, and kill it if that takes too long."""
        self.send(self._stop_signal)
        if self._process is not None:
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                await self.kill()


def make_folder(path: Path) -> Path:
    """Create a folder of the unprivileged account; return it."""
    account = unprivileged_account(path.parent)
    path.mkdir(mode=0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path
