"""A data folder whose permissions were changed: one line names the place and the remedy."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.server import EmbeddedServer
from app.local.embedded.valkey import EmbeddedValkey
from app.local.supervisor.run import run_service
from faults.disk import no_small_disk, read_only, small_disk
from tests.local.supervisor.test_run import ROOT, environment

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
is_root = os.geteuid() == 0
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them"),
    pytest.mark.usefixtures("child_processes"),
]


Refusal = Callable[[Path], str]


@pytest.fixture
def refusal(capfd: pytest.CaptureFixture[str]) -> Iterator[Refusal]:
    """Run the service in this process; return the only line that it ends with."""
    handlers = {number: signal.getsignal(number) for number in END_SIGNALS}

    def refusal(data: Path) -> str:
        with mock.patch.dict(os.environ, environment(), clear=True):
            assert run_service("127.0.0.1", 0, data) == 1
        [line] = capfd.readouterr().err.splitlines()
        return line

    yield refusal
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a run leaves it, as far as permissions matter."""
    data = tmp_path_factory.mktemp("used") / "var"
    for server in _servers(data):
        with server:
            pass
    (data / "audit-key").write_text("a key of the record, long enough for it\n")
    return data


def _servers(data: Path) -> tuple[EmbeddedServer, EmbeddedServer]:
    return EmbeddedPostgresql(data / "postgresql"), EmbeddedValkey(data / "valkey")


@pytest.fixture
def data(used: Path, tmp_path: Path) -> Path:
    """A copy of it, with the same owners."""
    copy = tmp_path / "var"
    shutil.copytree(used, copy, ignore=lambda place, _: ["run"] if "run" in place else [])
    for path in (used, *used.rglob("*")):
        there = copy / path.relative_to(used)
        if there.exists():
            os.chown(there, path.stat().st_uid, path.stat().st_gid)
    return copy


def mode(place: str, mode: int) -> Callable[[Path], Path]:
    """Return a function that gives a place below the data folder a mode."""

    def change(data: Path) -> Path:
        (data / place).chmod(mode)
        return data / place

    return change


def owner(place: str) -> Callable[[Path], Path]:
    """Return a function that gives a place below the data folder to another user."""

    def change(data: Path) -> Path:
        os.chown(data / place, 1, 1)
        return data / place

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(mode("postgresql/data", 0o755), id="postgresql-open"),
        pytest.param(mode("postgresql/data", 0o770), id="postgresql-group-writes"),
        pytest.param(mode("postgresql/data", 0o500), id="postgresql-read-only"),
        pytest.param(mode("postgresql/data", 0o000), id="postgresql-closed"),
        pytest.param(mode("postgresql/data/global/pg_control", 0o400), id="postgresql-a-file"),
        pytest.param(mode("postgresql/run", 0o500), id="postgresql-socket"),
        pytest.param(mode("valkey/data", 0o500), id="valkey-read-only"),
        pytest.param(mode("valkey", 0o000), id="valkey-closed"),
    ],
)
def test_a_changed_mode(data: Path, refusal: Refusal, change: Callable[[Path], Path]) -> None:
    place = change(data)
    try:
        line = refusal(data)
    finally:
        place.chmod(0o700)
    assert f"{place}" in line
    assert f"chmod -R u+rwX,go-w,o= {data}/" in line


@pytest.mark.skipif(not is_root, reason="only root gives files away")
@pytest.mark.parametrize(
    "place", ["postgresql/data", "postgresql/data/base", "valkey/data/appendonlydir"]
)
def test_a_changed_owner(data: Path, refusal: Refusal, place: str) -> None:
    owner(place)(data)
    line = refusal(data)
    assert f"{data / place} belongs to " in line
    assert f"chown -R nobody {data}/" in line


@pytest.mark.skipif(is_root, reason="permissions do not bind root")
@pytest.mark.parametrize("place", ["", "postgresql", "audit-key"])
def test_a_directory_that_is_closed_to_an_ordinary_user_is_refused(
    data: Path, refusal: Refusal, place: str
) -> None:
    change = mode(place, 0o000)
    closed = change(data)
    try:
        line = refusal(data)
    finally:
        closed.chmod(0o700)
    assert str(closed) in line
    assert "chmod -R u+rwX" in line


def test_a_file_in_the_way_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    command = [sys.executable, "-m", "app", "run", "--port", "0", "--data", str(tmp_path / "var")]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert f"The data folder cannot be used: {tmp_path}/var" in line


@pytest.mark.parametrize("what", ["empty", "folder"])
def test_a_key_that_is_none(data: Path, refusal: Refusal, what: str) -> None:
    key = data / "audit-key"
    key.unlink()
    key.touch() if what == "empty" else key.mkdir()
    assert str(key) in refusal(data)


@pytest.mark.skipif(bool(no_small_disk()), reason=no_small_disk())
def test_a_read_only_disk(data: Path, refusal: Refusal, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    with small_disk(place, 200_000_000):
        place.chmod(0o755)
        shutil.move(data, place / "var")
        with read_only(place):
            line = refusal(place / "var")
    assert f"{place}/var" in line
    assert "Read-only file system. Make it writable" in line


def test_the_hint_repairs_the_folder(data: Path, refusal: Refusal) -> None:
    (data / "postgresql" / "data").chmod(0o755)
    _, _, command = refusal(data).partition("if necessary: ")
    subprocess.run(["sh", "-c", command], check=True)
    for server in _servers(data):
        with server:
            assert server.running
