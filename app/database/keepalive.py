"""Connections that end if the machine of the database is gone.

Without these options TCP repeats an unacknowledged statement for a quarter of an hour, and waits
for a reply for ever. Requests have deadlines; jobs and commands have none.
"""

import socket
from asyncio.trsock import TransportSocket
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has no types

_SECONDS: Final = 10
"""Seconds without any sign of the other machine after which a connection ends."""
_OPTIONS: Final = {
    "TCP_KEEPIDLE": 4,
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": _SECONDS * 1000,
}
"""Options of the socket by name, where the system has them: a silent peer is asked after 4 seconds,
then every 2, three times; data must be acknowledged in time."""


class KeptAliveConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """A connection of the driver whose socket has these options."""

    def __init__(self, protocol: Any, transport: Any, *arguments: Any) -> None:
        super().__init__(protocol, transport, *arguments)
        keep_alive(transport.get_extra_info("socket"))


def keep_alive(opened: socket.socket | TransportSocket) -> None:
    """Set the options of a socket, unless it is one of this machine."""
    if opened.family == socket.AF_UNIX:
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if hasattr(socket, name):
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
