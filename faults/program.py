"""A process of the service under a supervisor that restarts it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.server.child_process import with_parent_death_signal

ROOT = Path(__file__).parents[1]
_PAUSE = 0.5
"""Seconds between the end of a program and its restart."""
_STOP_SECONDS = 40.0


class SupervisedProgram:
    """A Python process that is restarted whenever it ends.

    `environment` is shared with other programs and read at each start; `own` overrides it.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self.own: dict[str, str] = {}
        self.restarts = True
        """Whether the program is restarted when it ends."""
        self.starts = 0
        self._arguments = arguments
        self._environment = environment
        self._process: Process | None = None
        self._supervision: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The id of the current or last process."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    async def start(self) -> None:
        """Start the program unless it runs, and restart it while `restarts` is set."""
        if self.alive:
            return
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *with_parent_death_signal([sys.executable, *self._arguments], signal.SIGKILL),
                cwd=ROOT,
                env={**os.environ, **self._environment, **self.own},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                # Ctrl-C would reach every process of the terminal's group.
                process_group=0,
            )
        self.starts += 1
        self._supervision = asyncio.create_task(self._supervise(self._process))

    def kill(self) -> None:
        """Kill the process (SIGKILL)."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """Terminate the process (SIGTERM)."""
        self._send(signal.SIGTERM)

    async def wait_for_exit(self) -> int:
        """Wait until the current process has ended; return its exit code."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop the program gracefully, without a restart."""
        self.restarts = False
        if self.alive:
            self.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self.wait_for_exit()
            except TimeoutError:
                self.kill()
                await self.wait_for_exit()
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait([self._supervision])

    async def _supervise(self, process: Process) -> None:
        await process.wait()
        if self.restarts:
            await asyncio.sleep(_PAUSE)
            if self.restarts:
                await self.start()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
