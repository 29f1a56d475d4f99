"""The processes that are measured. Each has its own log and ends with the run."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.server.child_process import with_parent_death_signal
from benchmarks.builds import THIS_BUILD, Build
from benchmarks.console import Unusable

PUBLIC_URL = "http://invoicing.example"
"""The base of links, so that every server writes the same ones."""
_START_SECONDS = 60.0
_STOP_SECONDS = 40.0
_KIB = 1024
_MOMENT = 0.05


@dataclass(frozen=True)
class Server:
    """A running server, reached at `url`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def serving(self) -> list[int]:
        """Return the ids of the serving processes: the workers, or the process without any."""
        workers = [pid for pid in _children(self.process.pid) if _is_worker(pid)]
        return workers or [self.process.pid]

    def peak_memory(self) -> list[int]:
        """Return the largest resident size that each serving process has had, in bytes."""
        return [_status(pid, "VmHWM") for pid in self.serving()]

    async def busy(self) -> bool:
        """Return whether the serving processes used CPU time during the last moment."""
        before = sum(map(_cpu_ticks, self.serving()))
        await asyncio.sleep(_MOMENT)
        return sum(map(_cpu_ticks, self.serving())) != before

    def memory(self) -> int:
        """Return the resident size of all serving processes now, in bytes."""
        return sum(_status(pid, "VmRSS") for pid in self.serving())


@dataclass(frozen=True)
class Environment:
    """The queue and the folder for files and logs, for every process of a run."""

    redis_url: str
    place: Path

    def settings(self, database_url: str, **more: str) -> dict[str, str]:
        """Return the environment of a process on a database."""
        return os.environ | {
            "DATABASE_URL": database_url,
            "AUDIT_KEY": "the key of the benchmark, and of nothing else",
            "REDIS_URL": self.redis_url,
            "QUEUE_NAME": "benchmark",
            "PROOF_DIR": str(self.place / "proofs"),
            "MAIL_DIR": str(self.place / "mail"),
            # Requests are counted, but none is refused.
            "RATE_LIMIT_TOKEN": "1000000000/minute",
            "RATE_LIMIT_ADDRESS": "1000000000/minute",
            "PUBLIC_URL": PUBLIC_URL,
            "DRAIN_SECONDS": "0",
            "MAIL_FROM": "billing@example.com",
            "ISSUER_DETAILS": '{"name": "Example Cloud", "country": "EE"}',
            **more,
        }

    @asynccontextmanager
    async def service(
        self,
        database_url: str,
        *,
        workers: int = 1,
        build: Build = THIS_BUILD,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Server]:
        """Run the real service, as `python -m app serve` does, with more settings if given."""
        name = f"service-{build.commit}" if build.commit else "service"
        command = ["-m", "app", "serve", "--workers", str(workers)]
        environment = self.settings(database_url, **(settings or {}))
        async with self._server(name, command, environment, build) as server:
            async with asyncio.timeout(_START_SECONDS):
                while len(server.serving()) < workers:  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(0.1)
            yield server

    @asynccontextmanager
    async def references(self, database_url: str, answers: Path) -> AsyncIterator[Server]:
        """Run the references, which serve the recorded `answers`."""
        settings = self.settings(database_url, BENCHMARK_ANSWERS=str(answers))
        command = ["-m", "benchmarks.references"]
        async with self._server("references", command, settings) as server:
            yield server

    @asynccontextmanager
    async def process(
        self,
        name: str,
        command: Sequence[str],
        settings: Mapping[str, str],
        build: Build = THIS_BUILD,
    ) -> AsyncIterator[subprocess.Popen[bytes]]:
        """Run Python with the arguments; it ends with the context, its log stays."""
        log = self.place / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                with_parent_death_signal([str(build.python), *command], signal.SIGTERM),
                cwd=build.code,
                env=dict(settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches everyone in the terminal's group; we end them in their order.
                process_group=0,
            )
        try:
            yield process
        finally:
            await asyncio.shield(asyncio.to_thread(_stop, process))

    @asynccontextmanager
    async def _server(
        self,
        name: str,
        command: Sequence[str],
        settings: Mapping[str, str],
        build: Build = THIS_BUILD,
    ) -> AsyncIterator[Server]:
        port = free_port()
        arguments = [*command, "--port", str(port)]
        async with self.process(name, arguments, settings, build) as process:
            server = Server(f"http://127.0.0.1:{port}", process, self.place / f"{name}.log")
            await _until_it_answers(server)
            yield server


async def _until_it_answers(server: Server) -> None:
    give_up = time.monotonic() + _START_SECONDS
    async with httpx.AsyncClient(base_url=server.url) as client:
        while server.process.poll() is None and time.monotonic() < give_up:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise Unusable(f"A server does not answer; its log is {server.log}.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def _is_worker(pid: int) -> bool:
    # The resource tracker of multiprocessing is a child, too, and serves no requests.
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, without its children."""
    return _cpu_ticks(pid) / os.sysconf("SC_CLK_TCK")


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * _KIB
    raise Unusable(f"Process {pid} has ended.")
