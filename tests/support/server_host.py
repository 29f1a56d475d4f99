"""PostgreSQL and Valkey for a whole test run, started when a test first needs one."""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Final
from uuid import uuid4

from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.valkey import EmbeddedValkey
from tests.support.databases import administer, migrate, url_of_database

POSTGRESQL: Final = "DATABASE_URL"
REDIS: Final = "REDIS_URL"
TEMPLATE: Final = "template database"
"""The resources of a test run; the names of servers are also their environment variables."""

_ADDRESS: Final = "TEST_SERVER_HOST"
"""The environment variable with the address of the host, for the processes of the run."""
_STOP: Final = "stop"
_DATABASES_BYTES = 4 * 2**30
"""Space for the databases of all tests."""


def request_resource(name: str) -> str:
    """Return the URL of a server, or the name of the template database; raises RuntimeError.

    The first request of a test run starts the server or creates the database.
    """
    with Client(os.environ[_ADDRESS], "AF_UNIX") as connection:
        connection.send(name)
        succeeded, answer = connection.recv()
    if not succeeded:
        raise RuntimeError(answer)
    return str(answer)


class ServerHost:
    """Starts each server once for all processes of a test run.

    It runs in the process that starts the run, in one thread that lasts until `stop`: Linux ends an
    embedded server with the thread that started it. Servers that DATABASE_URL and REDIS_URL name
    are used instead of embedded ones.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._resources = {
            name: os.environ[name] for name in (POSTGRESQL, REDIS) if os.environ.get(name)
        }
        self._starters: dict[str, Callable[[], str]] = {
            POSTGRESQL: self._start_postgresql,
            REDIS: self._start_valkey,
            TEMPLATE: self._create_template,
        }
        place = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="invoicing-host-"))
        os.environ[_ADDRESS] = f"{place}/socket"
        self._listener = self._stack.enter_context(
            Listener(os.environ[_ADDRESS], "AF_UNIX", backlog=64)
        )
        self._thread = threading.Thread(target=self._serve, name="server-host", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the servers that were started."""
        with Client(os.environ[_ADDRESS], "AF_UNIX") as connection:
            connection.send(_STOP)
            connection.recv()
        self._thread.join()
        del os.environ[_ADDRESS]

    def _serve(self) -> None:
        while True:
            with self._listener.accept() as connection:
                try:
                    name = connection.recv()
                except EOFError:  # a process of the run was killed
                    continue
                if name == _STOP:
                    self._stack.close()
                    connection.send((True, ""))
                    return
                connection.send(self._answer(name))

    def _answer(self, name: str) -> tuple[bool, str]:
        try:
            return True, self._resource(name)
        except Exception as error:
            return False, f"{name}: {type(error).__name__}: {error}"

    def _resource(self, name: str) -> str:
        if name not in self._resources:
            self._resources[name] = self._starters[name]()
        return self._resources[name]

    def _start_postgresql(self) -> str:
        place = self._temporary_directory(_memory())
        place.chmod(0o711)  # PgBouncer, which never runs as root, reaches the socket through it
        server = EmbeddedPostgresql(place / "postgresql", durable=False)
        return self._stack.enter_context(server).url

    def _start_valkey(self) -> str:
        return self._stack.enter_context(EmbeddedValkey(self._temporary_directory() / "valkey")).url

    def _create_template(self) -> str:
        """Create a database with every migration and no rows, for cloning."""
        server = self._resource(POSTGRESQL)
        name = f"template_{uuid4().hex}"
        asyncio.run(administer(f"CREATE DATABASE {name}", server=server))
        self._stack.callback(self._drop, name, server)
        migrate(url_of_database(name, server))
        return name

    @staticmethod
    def _drop(name: str, server: str) -> None:
        asyncio.run(administer(f"DROP DATABASE {name} WITH (FORCE)", server=server))

    def _temporary_directory(self, parent: Path | None = None) -> Path:
        made = tempfile.TemporaryDirectory(prefix="invoicing-", dir=parent)
        return Path(self._stack.enter_context(made))


def _memory() -> Path | None:
    """Return a file system in memory with space for the databases of all tests; None without.

    A database, of which each test clones one, takes a third of the time there.
    """
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < _DATABASES_BYTES:
        return None
    return memory
