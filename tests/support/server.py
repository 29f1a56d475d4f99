"""The real server on a free port, for tests of the wire."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from app.main import create_app
from app.server.server import configuration
from app.settings import Settings
from tests.support.paths import ROOT

_LIMITS = ("RATE_LIMIT_TOKEN", "RATE_LIMIT_ADDRESS", "RATE_LIMIT_FAILED_LOGINS")
UNLIMITED = dict.fromkeys(_LIMITS, "off")
"""Settings that let in any number of requests."""

PATIENCE = 60.0
"""Seconds until the server must answer, or have ended."""


@dataclass(frozen=True)
class Server:
    """A running API."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    """The file of its output."""


def free_port() -> int:
    """Return a TCP port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@asynccontextmanager
async def run_server(
    settings: Mapping[str, str],
    place: Path,
    *options: str,
    program: Sequence[str] = ("-m", "app"),
    code: Path = ROOT,
) -> AsyncIterator[Server]:
    """Run `python -m app serve` with these settings; it logs to `place/server.log`.

    It ends without draining and has no rate limits, unless the settings say otherwise. `program`
    is run in place of the application's own; `code` is the folder of another version.
    """
    port = free_port()
    log = place / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, *program, "serve", "--port", str(port), *options],
            cwd=code,
            env={
                **os.environ,
                **UNLIMITED,
                "PROOF_DIR": str(place / "proofs"),
                "MAIL_DIR": str(place / "mail"),
                "DRAIN_SECONDS": "0",
                **settings,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        if not await _answers(url, process):
            raise AssertionError(f"the server has ended:\n{log.read_text()}")
        yield Server(url, process, log)
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


class _InThisProcess(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the tests."""
        yield


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[str]:
    """Serve the API from this process, without rate limits, and yield its URL.

    For tests of clients: a process of the server's own would only load the application once more.
    """
    config = configuration("127.0.0.1", free_port())
    limits = dict.fromkeys(map(str.lower, _LIMITS))
    config.app, config.factory = create_app(settings.model_copy(update=limits)), False
    config.timeout_graceful_shutdown = 5
    server = _InThisProcess(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done(), serving
            await asyncio.sleep(0.01)
        yield f"http://{config.host}:{config.port}"
    finally:
        server.should_exit = True
        await serving


async def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server responds; return False if it ended instead."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=url) as client:
        while process.poll() is None:
            try:
                if (await client.get("/health/live")).status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
        return False
