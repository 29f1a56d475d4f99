"""A real PgBouncer in transaction mode before the test's database."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.local.embedded.accounts import unprivileged_account
from app.server.child_process import with_parent_death_signal

PORT = 6432
PATIENCE = 60.0
"""Seconds until it must listen."""


def configuration(url: str, folder: Path, *, connections: int, options: str) -> str:
    """Return the pgbouncer.ini before one server that `url` names, with a socket in a folder."""
    parsed = make_url(url)
    server = {
        "host": parsed.query.get("host") or parsed.host,
        "port": parsed.query.get("port") or parsed.port,
        "user": parsed.username,
        "password": parsed.password,
    }
    known = " ".join(f"{name}={value}" for name, value in server.items() if value)
    return f"""
[databases]
* = {known}
[pgbouncer]
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
auth_type = any
listen_port = {PORT}
unix_socket_dir = {folder}
logfile = {folder}/pgbouncer.log
server_connect_timeout = 5
{options}
"""


@asynccontextmanager
async def pgbouncer(url: str, *, connections: int, options: str = "") -> AsyncIterator[str]:
    """Run a PgBouncer with so many connections to the server; yield the database's URL through it.

    The test is skipped where it is not installed.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed on this machine")
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as place:
        folder = Path(place)
        account = unprivileged_account(folder)  # it refuses to be root
        file = folder / "pgbouncer.ini"
        file.write_text(configuration(url, folder, connections=connections, options=options))
        if account is not None:
            for path in (folder, file):
                os.chown(path, account.uid, account.gid)
        process = await asyncio.create_subprocess_exec(
            *with_parent_death_signal([program, "--quiet", str(file)], signal.SIGINT, account)
        )
        try:
            await _listening(process, folder)
            parsed = make_url(url).set(host=None, port=None, query={"host": place})
            yield parsed.update_query_dict({"port": str(PORT)}).render_as_string(
                hide_password=False
            )
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _listening(process: asyncio.subprocess.Process, folder: Path) -> None:
    """Wait until it takes connections. Its socket is there a moment before."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                _, writer = await asyncio.open_unix_connection(folder / f".s.PGSQL.{PORT}")
                writer.close()
                return
            assert process.returncode is None, (folder / "pgbouncer.log").read_text()
            await asyncio.sleep(0.02)
