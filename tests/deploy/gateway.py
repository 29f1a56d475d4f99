"""A real nginx with the shipped configuration, on loopback."""

import asyncio
import os
import pwd
import re
import shutil
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.server.child_process import with_parent_death_signal
from tests.support.certificates import make_certificate
from tests.support.paths import ROOT
from tests.support.server import free_port

SHIPPED = ROOT / "deploy" / "nginx" / "invoicing.conf.template"
PREFIX = "/billing"
PATIENCE = 60.0
"""Timeout in seconds of its first response."""

_AROUND = """
{user}
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{}}
http {{
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    include {place}/invoicing.conf;
}}
"""
"""The nginx.conf that includes the shipped file."""


@dataclass(frozen=True)
class Gateway:
    """A running nginx."""

    host: str
    """Host and port that clients use."""
    plain: str
    """The address that redirects to TLS."""
    certificate: Path
    access_log: Path
    error_log: Path

    @property
    def url(self) -> str:
        """The base URL of the service for clients."""
        return f"https://{self.host}{PREFIX}"

    def client(self, address: str = "127.0.0.1", **options: object) -> httpx.AsyncClient:
        """Return a client that calls from an address of this machine and trusts the certificate."""
        trust = ssl.create_default_context(cafile=self.certificate)
        transport = httpx.AsyncHTTPTransport(verify=trust, local_address=address)
        return httpx.AsyncClient(
            base_url=self.url,
            transport=transport,
            timeout=30,
            **options,  # type: ignore[arg-type]  # httpx's own
        )


def filled_in(template: str, values: dict[str, str]) -> str:
    """Fill in `${NAME}` as envsubst does; every name must be known, and every value used."""
    assert set(re.findall(r"\$\{(\w+)\}", template)) == set(values)
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], template)


@asynccontextmanager
async def run_nginx(place: Path, *apis: str) -> AsyncIterator[Gateway]:
    """Run nginx before two API processes, given as host and port.

    The test is skipped where it is not installed.
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed on this machine")
    key, certificate = make_certificate(place)
    host, plain = (f"127.0.0.1:{free_port()}" for _ in range(2))
    first, second = apis
    values = {
        "SERVER_NAME": "127.0.0.1",
        "LISTEN": host,
        "LISTEN_PLAIN": plain,
        "CERTIFICATE": str(certificate),
        "CERTIFICATE_KEY": str(key),
        "PREFIX": PREFIX,
        "API_1": first,
        "API_2": second,
        "ACCESS_LOG": f"{place}/access.log",
    }
    (place / "invoicing.conf").write_text(filled_in(SHIPPED.read_text(), values))
    root = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    (place / "nginx.conf").write_text(_AROUND.format(user=root, place=place))
    command = [program, "-e", f"{place}/error.log", "-c", f"{place}/nginx.conf"]
    process = await asyncio.create_subprocess_exec(
        *with_parent_death_signal(command, signal.SIGTERM, None)
    )
    gateway = Gateway(
        host, f"http://{plain}", certificate, place / "access.log", place / "error.log"
    )
    try:
        await _listening(process, gateway)
        yield gateway
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, gateway: Gateway) -> None:
    async with asyncio.timeout(PATIENCE), gateway.client() as client:
        while True:
            assert process.returncode is None, gateway.error_log.read_text()
            try:
                await client.get("/")
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
            else:
                return
