"""Load from outside: wrk, and for HEAD a small client, each a process of its own."""

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import time_ns

from benchmarks.builds import ROOT
from benchmarks.cases import Request
from benchmarks.console import Unusable

_SCRIPT = Path(__file__).with_name("wrk.lua")
_MARK = "SUMMARY "
_PATIENCE = 30
"""Seconds that a request may take before it counts as broken."""


class LoadFailed(Unusable):
    """Requests failed or had unexpected responses, so that the measurement is void."""


@dataclass(frozen=True)
class Summary:
    """The summary of one run of the load generator."""

    requests: int
    seconds: float
    bytes: int
    p50_ms: float
    p99_ms: float
    broken: int
    """Connections that were refused, cut or too slow."""
    unexpected: int
    """Answers with another status than expected."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def require_wrk() -> None:
    """Raise Unusable if wrk is not installed."""
    if shutil.which("wrk") is None:
        raise Unusable(
            "It needs the load generator wrk, which is not installed: it is the package"
            " `wrk` of Debian, Ubuntu and Homebrew."
        )


def read_summary(output: str) -> Summary:
    """Return the summary at the end of a load generator's output.

    Raises LoadFailed if there is none.
    """
    for line in reversed(output.splitlines()):
        if line.startswith(_MARK):
            return Summary(**json.loads(line.removeprefix(_MARK)))
    raise LoadFailed(f"The load generator printed no result:\n{output}")


def check(summary: Summary, status: int, name: str) -> None:
    """Raise LoadFailed if a summary has failed requests or unexpected statuses."""
    if summary.broken or summary.unexpected:
        raise LoadFailed(
            f"{name}: of {summary.requests} requests {summary.broken} were not answered and"
            f" {summary.unexpected} with another status than {status}."
        )


async def generate(
    base: str, requests: Sequence[Request], status: int, connections: int, seconds: int
) -> Summary:
    """Send the requests in turn, over and over, from that many connections at once."""
    if requests[0].method == "HEAD":
        return await _run(
            sys.executable, "-m", "benchmarks.heads", f"{base}{requests[0].path}",
            str(status), str(connections), str(seconds),
            *(f"{name}: {value}" for name, value in requests[0].headers.items()),
        )  # fmt: skip
    with NamedTemporaryFile("w", suffix=".plan") as plan:
        plan.writelines(f"{_line(request)}\n" for request in requests)
        plan.flush()
        return await _run(
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={_PATIENCE}s",
            "--latency", "-s", str(_SCRIPT), base, "--", plan.name, str(status),
            str(time_ns() // 1_000_000 % 1_000_000_000_000),
        )  # fmt: skip


def _line(request: Request) -> str:
    headers = "|".join(f"{name}: {value}" for name, value in request.headers.items())
    return f"{request.method}\t{request.path}\t{headers}\t{request.body}"


async def _run(*command: str) -> Summary:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_PATIENCE * 4):
            output, _ = await process.communicate()
    except TimeoutError:
        raise LoadFailed(f"{command[0]} does not end; the server hangs.") from None
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise LoadFailed(f"{command[0]} failed:\n{output.decode()}")
    return read_summary(output.decode())
