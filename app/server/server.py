"""One process of the API: it ends without dropping a request that it has accepted."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from socket import socket
from typing import Final, cast

import uvicorn

from app.logging import get_logger
from app.server.connection import FIRST_REQUEST_SECONDS, Connection
from app.server.listener import keep_newcomers_out, readable
from app.shutdown import DRAINING, Ending

_APPLICATION: Final = "app.main:create_app_from_environment"
_TICK: Final = 0.1
_HANDSHAKE_SECONDS: Final = 0.25
"""How long a connection that has begun to open may take to be open."""
CUT_AFTER: Final = 21.0
"""Seconds after which requests that are under way are cut off; a few remain to clean up."""
_CLEANING_UP: Final = 1.0
"""Seconds that a request has to end once its client is gone, and again once it is cancelled."""

_logger = get_logger(__name__)


def configuration(host: str, port: int) -> uvicorn.Config:
    """Return how the API is served at an address."""
    return uvicorn.Config(
        _APPLICATION,
        factory=True,
        host=host,
        port=port,
        loop="uvloop",
        http=Connection,
        # The service itself decides whose X-Forwarded-* it believes, and logs requests.
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
    )


class Server(uvicorn.Server):
    """Serves until it is told to end; then it drains, stops listening, and finishes requests."""

    def __init__(self, config: uvicorn.Config, ending: Ending) -> None:
        super().__init__(config)
        self._ending = ending
        self._drain_seconds = 0.0
        self._others_listen = False

    def end(self, drain_seconds: float, *, others_listen: bool = False) -> None:
        """Begin to end: not ready at once, but open to requests for `drain_seconds`.

        `others_listen` tells that other processes go on with the same listening sockets.
        """
        self._drain_seconds = drain_seconds
        self._others_listen = others_listen
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to who started the server."""
        yield

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Drain, stop listening, let requests end, and close what the application holds."""
        _logger.info("draining", seconds=self._drain_seconds)
        self.lifespan.state[DRAINING] = True
        for connection in self._connections:
            connection.drain()
        await self._until(lambda: self._ending.seconds >= self._drain_seconds)
        await self._stop_listening(sockets or [])
        await self._finish()
        try:
            await asyncio.wait_for(self.lifespan.shutdown(), _CLEANING_UP)
        except TimeoutError:
            _logger.warning("connections were left to their ends")
        _logger.info("ended", seconds=round(self._ending.seconds, 1))

    @property
    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.server_state.connections))

    async def _stop_listening(self, sockets: list[socket]) -> None:
        """Accept whom the kernel has let in, and nobody after them."""
        listening = [one.fileno() for server in self.servers for one in server.sockets]
        if not self._others_listen:
            keep_newcomers_out(listening)
            await asyncio.sleep(_HANDSHAKE_SECONDS)
            await self._until(lambda: not readable(listening), _CLEANING_UP)
        for server in self.servers:
            server.close()
        for one in sockets:
            one.close()
        await asyncio.sleep(_TICK)  # who was accepted last is among the connections after this

    async def _finish(self) -> None:
        """Let what is under way end, and cut off what does not in time."""
        patience = self._ending.seconds + FIRST_REQUEST_SECONDS

        def all_closed() -> bool:
            patient = self._ending.seconds < patience
            for connection in self._connections:
                connection.close_if_idle(patient=patient)
            return not self.server_state.connections and not self.server_state.tasks

        if await self._until(all_closed, CUT_AFTER - self._ending.seconds):
            return
        _logger.warning("requests cut off", number=len(self.server_state.tasks))
        for connection in self._connections:
            connection.cut()
        if not await self._until(lambda: not self.server_state.tasks, _CLEANING_UP):
            for task in list(self.server_state.tasks):
                task.cancel()
            await self._until(lambda: not self.server_state.tasks, _CLEANING_UP)

    async def _until(self, done: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Serve on until something holds, or seconds have passed; tell whether it does."""
        limit = self._ending.seconds + seconds
        for counter in count():
            if done():
                return True
            if self._ending.seconds >= limit:
                return False
            await self.on_tick(counter)  # which keeps the date of answers
            await asyncio.sleep(_TICK)
        raise AssertionError("counting never ends")
