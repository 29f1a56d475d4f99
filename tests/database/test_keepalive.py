"""Connections notice that the machine of the database is gone."""

import socket

import pytest

from app.database.engine import Database
from app.database.keepalive import KeptAliveConnection, keep_alive


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has all options")
def test_a_connection_ends_after_ten_seconds_of_silence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as opened,
    ):
        keep_alive(opened)
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, probes, unacknowledged = (
            opened.getsockopt(socket.IPPROTO_TCP, option)
            for option in (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
        )
        assert idle + interval * probes == 10
        assert unacknowledged == 10_000


async def test_connections_of_the_service_are_of_that_kind(database: Database) -> None:
    async with database.reading() as connection:
        pooled = await connection.get_raw_connection()
        assert isinstance(pooled.driver_connection, KeptAliveConnection)
