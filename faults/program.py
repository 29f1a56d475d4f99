"""A process of the service, and who starts it again when it ends."""

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
"""Seconds after which a program that ended is started again, as by a supervisor."""
_STOP_SECONDS = 40.0


class SupervisedProgram:
    """Python with arguments, as a process that is started again whenever it ends.

    `environment` is shared with others and looked at with each start; `own` goes over it.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self.own: dict[str, str] = {}
        self.restarts = True
        """Whether it is started again when it ends."""
        self.starts = 0
        self._arguments = arguments
        self._environment = environment
        self._process: Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The id of its process, the last one where none runs."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    async def start(self) -> None:
        """Start it unless it runs, and keep it running while `restarts` says so."""
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
                # Ctrl-C reaches everyone in the terminal's group; we end it in its time.
                process_group=0,
            )
        self.starts += 1
        self._keeping = asyncio.create_task(self._keep(self._process))

    def kill(self) -> None:
        """End it as a power cut would."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    async def gone(self) -> int:
        """Wait until the process that runs now has ended; return its exit code."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return await self._process.wait()

    async def stop(self) -> None:
        """End it in order, and for good."""
        self.restarts = False
        if self.alive:
            self.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self.gone()
            except TimeoutError:
                self.kill()
                await self.gone()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _keep(self, process: Process) -> None:
        await process.wait()
        if self.restarts:
            await asyncio.sleep(_PAUSE)
            if self.restarts:
                await self.start()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
