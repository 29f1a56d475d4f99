"""The base of embedded servers: directory, locks, socket, start and stop."""

import errno
import fcntl
import hashlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

from app.local.embedded import access
from app.local.embedded.accounts import unprivileged_account
from app.server.child_process import Account, with_parent_death_signal

_POLL_SECONDS = 0.02
_START_SECONDS = 120.0
"""Recovery after a crash can take a while."""
_PREDECESSOR_SECONDS = 15.0
"""How long to wait for a server whose parent was killed to release the directory."""
_DYING_SECONDS = 0.5
"""How long to wait for a killed process to release its files."""
_LOG_BYTES = 5_000_000
"""The next start renames a log larger than this."""
_SOCKET_PATH_BYTES = 100
"""The kernels' limit is 107 bytes on Linux and 103 on macOS."""


class ServerError(Exception):
    """A server cannot start, or stopped unexpectedly; the message is one line for a person."""


class EmbeddedServer:
    """A server that is a child of this process, in its own directory.

    The directory holds `data`, `run` (the socket), `server.log` and two locks. Start it from a
    thread that lives as long as the server should, best the main thread: Linux ends the server
    with the thread that started it.
    """

    name: ClassVar[str]
    socket_name: ClassVar[str]
    stop_signals: ClassVar[tuple[tuple[signal.Signals, float], ...]]
    """The signals that stop the server in turn, each with its timeout in seconds."""
    requires_private_data: ClassVar[bool] = False
    """Whether the server refuses data that users outside its group can read or write."""

    def __init__(self, data_dir: Path) -> None:
        self.home = data_dir.resolve()
        self.data = self.home / "data"
        self.log_path = self.home / "server.log"
        self.account: Account | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._server_lock: int | None = None
        self._socket_dir: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def socket_dir(self) -> Path:
        """The directory of the socket, by a path short enough to connect to."""
        if self._socket_dir is None:
            raise ServerError(f"{self.name} has not been started.")
        return self._socket_dir

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self.process is None:
            raise ServerError(f"{self.name} is not running.")
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the server is running."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers; raise ServerError if it cannot start."""
        if self.running:
            return
        try:
            self._take_directory()
            self._start_process()
        except OSError as error:
            self.stop()
            problem = access.describe_os_error(error, self.home, self.account)
            raise ServerError(f"{self.name} cannot use {problem}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server by its signals, then SIGKILL, and release the directory."""
        if self.process is not None:
            for number, timeout in self.stop_signals:
                self.process.send_signal(number)
                try:
                    self.process.wait(timeout)
                    break
                except subprocess.TimeoutExpired:
                    continue
            else:
                self.process.kill()
                self.process.wait()
            self.process = None
        if self._lock is not None and self._socket_dir not in (None, self.home / "run"):
            self._socket_dir.unlink(missing_ok=True)
        for lock in (self._server_lock, self._lock):
            if lock is not None:
                os.close(lock)
        self._server_lock = self._lock = None

    def prepare(self) -> None:
        """Prepare the data directory; raise ServerError if that fails."""
        raise NotImplementedError

    def command(self, directory: str) -> list[str]:
        """Return the server's program and arguments, for data in `directory`."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Return whether the started server answers."""
        raise NotImplementedError

    def spawn(
        self, command: Callable[[str], list[str]], directory: Path, log: int
    ) -> subprocess.Popen[bytes]:
        """Start a program as the server's user; Linux ends it with this process.

        `command` gets a path of `directory` for the program. The server's user may have no access
        to the directories above it, so on Linux the path goes through an open file descriptor. The
        program also inherits a lock, so that the directory is free only when this process and the
        program have both ended.
        """
        if self._server_lock is None:
            raise ServerError(f"{self.name} has not taken its directory.")
        path, inherited = str(directory), [self._server_lock]
        if self.account is not None and sys.platform == "linux":
            entrance = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
            path = f"/proc/self/fd/{entrance}"
            inherited.append(entrance)
        try:
            return subprocess.Popen(  # noqa: S603 - our own launcher and binaries
                with_parent_death_signal(command(path), self.stop_signals[0][0], self.account),
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                umask=0o077,
                pass_fds=inherited,
                # Ctrl-C reaches the terminal's whole process group; `stop` ends the server.
                process_group=0,
            )
        finally:
            for entrance in inherited[1:]:
                os.close(entrance)

    def chown_to_account(self, path: Path) -> None:
        """Change the owner of a file or directory to the server's user."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    def make_private_directory(self, path: Path) -> None:
        """Create a directory that only the server's user can enter."""
        path.mkdir(mode=0o700, exist_ok=True)
        self.chown_to_account(path)

    def open_log(self) -> int:
        """Open the server's log to append; rename a large one first."""
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        return os.open(self.log_path, flags, 0o600)

    def last_log_error(self) -> str:
        """Return the last error in the log, else its last line."""
        lines = self.log_path.read_text(errors="replace").splitlines()[-20:]
        complaints = [line for line in lines if "FATAL" in line or "rror" in line]
        return (complaints or lines or ["its log is empty"])[-1].strip()

    def _take_directory(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.account = unprivileged_account(self.home)
        # Only the directory itself changes its owner; the permissions above it stay.
        self.chown_to_account(self.home)
        self._lock_directory()
        self.make_private_directory(self.home / "run")
        self._socket_dir = _short_path(self.home / "run", self.socket_name)

    def _lock_directory(self) -> None:
        """Lock the directory, and wait for a server whose parent was killed to end.

        There are two locks: one ends with this process, the other with the last of this process
        and the server, which inherits it.
        """
        self._lock = _lock(self.home / "lock", _DYING_SECONDS)
        if self._lock is None:
            holder = (self.home / "lock").read_text() or "another"
            raise ServerError(f"{self.name} already runs in {self.home}, for process {holder}.")
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)
        self._server_lock = _lock(self.home / "server.lock", _PREDECESSOR_SECONDS)
        if self._server_lock is None:
            raise ServerError(f"An orphaned {self.name} still runs in {self.home}.")

    def _check_access(self) -> None:
        """Raise ServerError with a hint if the server's user cannot use its directory."""
        problem = (
            access.access_problem(self.home, self.account)
            or access.first_access_problem(self.home / "run", self.account)
            or access.first_access_problem(self.data, self.account)
            or (self.requires_private_data and access.exposure_problem(self.data))
        )
        if problem:
            remedy = access.repair_hint(self.home, self.account)
            raise ServerError(f"{self.name} cannot be started: {problem}. {remedy}")

    def _start_process(self) -> None:
        self.prepare()
        self._check_access()
        log = self.open_log()
        try:
            self.process = self.spawn(self.command, self.data, log)
        finally:
            os.close(log)
        deadline = time.monotonic() + _START_SECONDS
        while not self.ready():
            if self.process.poll() is not None:
                raise ServerError(f"{self.name} did not start: {self.last_log_error()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} does not answer; its log is {self.log_path}.")
            time.sleep(_POLL_SECONDS)


def _lock(path: Path, timeout: float) -> int | None:
    """Return the open, locked file; None if another process holds the lock until the timeout."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                return None
            time.sleep(_POLL_SECONDS)
        else:
            return lock


def _short_path(directory: Path, socket_name: str) -> Path:
    """Return `directory`, or a short link to it if the path of a socket would be too long."""
    if len(os.fsencode(directory / socket_name)) <= _SOCKET_PATH_BYTES:
        return directory
    links = Path(tempfile.gettempdir()) / f"cloud-invoicing-{os.geteuid()}"
    links.mkdir(mode=0o700, exist_ok=True)
    status = links.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        # Another user created it and could replace its contents.
        links = Path(tempfile.mkdtemp(prefix="cloud-invoicing-"))
    link = links / hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    if not link.is_symlink() or link.readlink() != directory:
        link.unlink(missing_ok=True)
        link.symlink_to(directory)
    return link


def free_port(host: str, port: int) -> int:
    """Return `port` if it is free, else another free port; raise OSError for a wrong host."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # Connections of an earlier run may linger; they do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            probe.bind((address[0], 0, *address[2:]))
        free: int = probe.getsockname()[1]
        return free
