"""One process of the API, which shuts down without dropping a request that it has accepted."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from socket import socket
from typing import Final, cast

import uvicorn

from app.logging import get_logger
from app.server.connection import FIRST_REQUEST_SECONDS, Connection, has_unread_input
from app.shutdown import DRAINING, ShutdownSignals

_APPLICATION: Final = "app.main:create_app_from_environment"
_TICK: Final = 0.1
ABORT_AFTER: Final = 21.0
"""Seconds after which requests in progress are aborted; a few seconds remain to clean up."""
_CLEAN_UP_SECONDS: Final = 1.0
"""Seconds that an aborted request has to end, and again once it is cancelled."""

_logger = get_logger(__name__)


def configuration(host: str, port: int) -> uvicorn.Config:
    """Return uvicorn's configuration for the API at an address."""
    return uvicorn.Config(
        _APPLICATION,
        factory=True,
        host=host,
        port=port,
        loop="uvloop",
        http=Connection,
        # The application reads X-Forwarded-* of trusted proxies, and logs requests.
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
    )


class Server(uvicorn.Server):
    """Serves until shutdown begins; then drains, stops listening, and finishes requests."""

    def __init__(self, config: uvicorn.Config, signals: ShutdownSignals) -> None:
        super().__init__(config)
        self._signals = signals
        self._drain_seconds = 0.0
        self._others_listen = False

    def begin_shutdown(self, drain_seconds: float, *, others_listen: bool = False) -> None:
        """Be no longer ready at once, but accept requests for `drain_seconds`.

        `others_listen` means that other processes go on to accept from the same socket.
        """
        self._drain_seconds = drain_seconds
        self._others_listen = others_listen
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Drain, stop listening, finish requests, and close the application's resources."""
        _logger.info("draining", seconds=self._drain_seconds)
        self.lifespan.state[DRAINING] = True
        for connection in self._connections:
            connection.announce_close()
        await self._wait_until(lambda: self._signals.seconds >= self._drain_seconds)
        await self._stop_listening(sockets or [])
        await self._finish_requests()
        try:
            await asyncio.wait_for(self.lifespan.shutdown(), _CLEAN_UP_SECONDS)
        except TimeoutError:
            _logger.warning("connections were left to their ends")
        _logger.info("ended", seconds=round(self._signals.seconds, 1))

    @property
    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.server_state.connections))

    async def _stop_listening(self, sockets: list[socket]) -> None:
        """Accept the connections in the kernel's queue, then close the sockets.

        The kernel resets a connection that arrives between the two; its request never reached us.
        """
        listening = [each.fileno() for server in self.servers for each in server.sockets]
        if not self._others_listen:
            await self._wait_until(lambda: not has_unread_input(listening), _CLEAN_UP_SECONDS)
        for server in self.servers:
            server.close()
        for each in sockets:
            each.close()
        await asyncio.sleep(_TICK)  # the connection accepted last is registered after this

    async def _finish_requests(self) -> None:
        """Let requests in progress end, and abort those that do not end in time."""
        first_request_until = self._signals.seconds + FIRST_REQUEST_SECONDS

        def all_closed() -> bool:
            await_first_request = self._signals.seconds < first_request_until
            for connection in self._connections:
                connection.close_if_idle(await_first_request=await_first_request)
            return not self.server_state.connections and not self.server_state.tasks

        if await self._wait_until(all_closed, ABORT_AFTER - self._signals.seconds):
            return
        _logger.warning("requests cut off", number=len(self.server_state.tasks))
        for connection in self._connections:
            connection.transport.abort()
        if not await self._wait_until(lambda: not self.server_state.tasks, _CLEAN_UP_SECONDS):
            for task in list(self.server_state.tasks):
                task.cancel()
            await self._wait_until(lambda: not self.server_state.tasks, _CLEAN_UP_SECONDS)

    async def _wait_until(
        self, condition: Callable[[], bool], seconds: float = float("inf")
    ) -> bool:
        """Serve until the condition holds or the time is up; return whether it holds."""
        limit = self._signals.seconds + seconds
        for counter in count():
            if condition():
                return True
            if self._signals.seconds >= limit:
                return False
            await self.on_tick(counter)  # updates the Date header
            await asyncio.sleep(_TICK)
        raise AssertionError("counting never ends")
