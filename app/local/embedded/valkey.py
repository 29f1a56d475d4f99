"""Embedded Valkey, or a Redis on PATH."""

import signal
import socket
from pathlib import Path

from app.local.embedded.binaries import find_valkey
from app.local.embedded.server import EmbeddedServer


class EmbeddedValkey(EmbeddedServer):
    """A Valkey that keeps its append-only file in a directory, reached over a Unix socket."""

    name = "Valkey"
    socket_name = "valkey.sock"
    stop_signals = ((signal.SIGTERM, 30.0),)

    _program: Path
    """Found by `prepare`."""

    @property
    def url(self) -> str:
        """The URL of the server, for `RedisSettings.from_dsn`."""
        return f"unix://{self._socket}"

    def prepare(self) -> None:
        """Find the program and create the directory."""
        self._program = find_valkey(self.account)
        self.make_private_directory(self.data)

    def command(self, directory: str) -> list[str]:
        """Return the server's program and arguments, for data in `directory`."""
        return [
            str(self._program),
            *("--port", "0"),
            *("--dir", directory),
            *("--unixsocket", f"../run/{self.socket_name}"),
            *("--unixsocketperm", "700"),
            *("--appendonly", "yes"),
            *("--save", ""),
        ]

    def ready(self) -> bool:
        """Return whether the server answers; it refuses while it loads its data."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    @property
    def _socket(self) -> Path:
        return self.socket_dir / self.socket_name
