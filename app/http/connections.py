"""Connections of clients that end: uvicorn's protocol, with bounds for what it waits for and keeps.

By itself it waits for a head, or for an answer to be taken, for as long as the client stays, and
keeps a head of any length. What it refuses by itself is told here in this API's shape.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app import log
from app.http.bounds import (
    CROWDED,
    HEADERS_MAX_BYTES,
    HEADERS_TOO_LONG,
    URL_MAX_BYTES,
    URL_TOO_LONG,
)
from app.http.json import MEDIA_TYPE, as_json
from app.http.security import BARE
from app.settings import Settings

_logger = log.get(__name__)

HEAD_MAX_BYTES: Final = URL_MAX_BYTES + HEADERS_MAX_BYTES
"""Of a head that is not complete: more than a complete one may have, or it is refused with that."""
_LOOKS: Final = 8
"""How often a connection is looked at while its client is waited for as long as can be."""


class BoundedProtocol(HttpToolsProtocol):
    """Serves one connection, and ends it when its client sends too much or stands still.

    The settings are those of the application that it serves.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: Settings = self.app.state.settings
        self._patience = float(settings.client_timeout)
        self._most = settings.max_connections
        self._incomplete = 0
        """Bytes that have come of what is not complete: a head, the frame of a chunk, a trailer."""
        self._full = 0
        """How often more was to be sent than is kept for a client."""
        self._seen: tuple[str, object] | None = None
        self._seen_at = 0.0
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch the connection; one too many is told so, twice as many are cut."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self._most:
            transport.abort()
            return
        if len(self.connections) > self._most:
            self.app_state = {**self.app_state, CROWDED: True}
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to watch."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is too much of something that does not end."""
        self._incomplete += len(data)
        super().data_received(data)
        if self._incomplete > HEAD_MAX_BYTES and not self.transport.is_closing():
            if len(self.url) > URL_MAX_BYTES:
                self._refuse(414, URL_TOO_LONG)
            else:
                self._refuse(431, HEADERS_TOO_LONG)

    def on_headers_complete(self) -> None:
        """Begin a request, whose headers these are: not those that may follow its body."""
        self._incomplete = 0
        super().on_headers_complete()
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._incomplete = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._incomplete = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Send no more until the client has taken some."""
        self._full += 1
        super().pause_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, msg)

    def _refuse(self, status: int, detail: str) -> None:
        """Answer outside of the application, and end the connection."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            body = as_json({"detail": detail})
            headers = [
                *self.server_state.default_headers,
                *BARE,
                (b"content-type", MEDIA_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            lines = [b"%b: %b\r\n" % header for header in headers]
            self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        # Amid a request there is no room for another answer.
        self.transport.close()

    def _look_later(self) -> None:
        self._look = self.loop.call_later(self._patience / _LOOKS, self._look_now)

    def _look_now(self) -> None:
        waited_for = self._waited_for()
        now = self.loop.time()
        if waited_for is None or waited_for != self._seen:
            self._seen, self._seen_at = waited_for, now
        elif now - self._seen_at >= self._patience:
            _logger.info(
                "client too slow", address=self.client and self.client[0], was=waited_for[0]
            )
            self._give_up()
        self._look_later()

    def _waited_for(self) -> tuple[str, object] | None:
        """Return what the client is to do, another each time that it has done it.

        None where it is the service's turn, or uvicorn's own timer between requests runs.
        """
        if self.transport.is_closing():
            return "to take the last", None
        if self.flow.write_paused:
            return "to take more", self._full
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        if self.timeout_keep_alive_task is not None:
            return None
        return "to send a head", self.cycle

    def _give_up(self) -> None:
        if self.transport.is_closing() or self.flow.write_paused:
            self.transport.abort()
        elif self._incomplete:
            self._refuse(408, "The request did not come in time.")
        else:
            self.transport.close()
