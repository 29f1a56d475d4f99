"""Connections of clients that end: uvicorn's protocol, with bounds for what it waits for and keeps.

By itself it waits for a head, or for an answer to be taken, for as long as the client stays, and
keeps a head of any length. What it refuses by itself is told here in this API's shape.
"""

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.api.json_response import MEDIA_TYPE, as_json
from app.api.middleware.limits import (
    BROKEN,
    CROWDED,
    HEADERS_MAX_BYTES,
    HEADERS_TOO_LONG,
    URL_MAX_BYTES,
    URL_TOO_LONG,
    body_max_bytes,
    body_too_long,
)
from app.api.middleware.security_headers import BARE
from app.api.streaming import CUT
from app.logging import get_logger
from app.settings import Settings

_logger = get_logger(__name__)

HEAD_MAX_BYTES: Final = URL_MAX_BYTES + HEADERS_MAX_BYTES
"""Of a head that is not complete: more than a complete one may have, or it is refused with that."""
_LOOKS: Final = 8
"""How often a connection is looked at while its client is waited for as long as can be."""
_NO_HTTP: Final = "Invalid HTTP request received."
_BROKEN_BODY: Final = "The request body is broken: {}."
_LENGTH_OVERFLOW: Final = "Content-Length overflow"
"""What the parser says of a length beyond 64 bits."""
_UPGRADE: Final = frozenset({b"upgrade", b"http2-settings"})
"""Headers that ask for another protocol."""


class BoundedProtocol(HttpToolsProtocol):
    """Serves one connection, and ends it when its client sends too much or stands still.

    The settings are those of the application that it serves.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: Settings = self.app.state.settings
        self._patience = float(settings.client_timeout)
        self._most = settings.max_connections
        self._body_max_bytes = body_max_bytes(settings.proof_max_bytes)
        self._incomplete = 0
        """Bytes that have come of what is not complete: a head, the frame of a chunk, a trailer."""
        self._full = 0
        """How often more was to be sent than is kept for a client."""
        self._in_body = False
        """Whether a request's head is complete and its body is not."""
        self._is_deaf = False
        """Whether all that comes further is dropped."""
        self._answered: RequestResponseCycle | None = None
        """The request that is being answered, or was last."""
        self._upgraded: bytes | None = None
        """A head that asks for another protocol, as it is without that."""
        self._refusal = b""
        """The answer to what is no request, while requests before it are answered."""
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
        """Stop to watch, and tell the request that is being answered that its client is gone."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)
        # uvicorn tells the last that has come, which may still wait for its turn.
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is broken, or too much of something that does not end."""
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        self._incomplete += len(data)
        self._parse(data)
        if self._incomplete > HEAD_MAX_BYTES and not self._is_deaf:
            if len(self.url) > URL_MAX_BYTES:
                self._refuse(414, URL_TOO_LONG)
            else:
                self._refuse(431, HEADERS_TOO_LONG)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self._in_body:
                self._refuse(400, _BROKEN_BODY.format(error))
            elif str(error) == _LENGTH_OVERFLOW:
                self._refuse(413, body_too_long(self._body_max_bytes))
            else:
                self._refuse(400, _NO_HTTP)

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Parse a request again as one that asks for no other protocol, with what follows its head.

        There is no other protocol here, and who asks for one may go on in HTTP/1.1 (RFC 9110, 7.8).
        The parser would leave the body out, and take it for the next request.
        """
        head, self._upgraded = self._upgraded, None
        if head is None:  # CONNECT, which can be nothing else
            self._refuse(400, _NO_HTTP)
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse(head + rest)

    def on_headers_complete(self) -> None:
        """Begin a request, whose headers these are: not those that may follow its body."""
        self._incomplete = 0
        if self.parser.should_upgrade():
            self._upgraded = self._head_without_upgrade()
            return
        super().on_headers_complete()
        self.cycle.scope["state"][CUT] = self.transport.abort
        self._in_body = True
        self.headers = []

    def _head_without_upgrade(self) -> bytes | None:
        method = self.parser.get_method()
        if method == b"CONNECT":
            return None
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] not in _UPGRADE]
        return b"\r\n".join([*lines, b"\r\n"])

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._incomplete = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._incomplete = 0
        if self._upgraded is None and self._in_body:
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; behind the last comes what was refused."""
        is_last = not self.pipeline
        super().on_response_complete()
        if self._refusal and is_last and not self.transport.is_closing():
            self._send_refusal()

    def pause_writing(self) -> None:
        """Send no more until the client has taken some."""
        self._full += 1
        super().pause_writing()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what cannot be read any further, as the last on this connection."""
        _logger.info("request refused", status=status, detail=detail)
        self._is_deaf = True
        if self._in_body and self.cycle.response_complete:
            self.transport.close()
        elif self._in_body:
            # The application tells it, unless it is answering already.
            self.cycle.scope["state"][BROKEN] = status, detail
            self.cycle.keep_alive = False
            self.cycle.message_event.set()
        else:
            body = as_json({"detail": detail})
            headers = [
                *self.server_state.default_headers,
                *BARE,
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            if self._is_head():
                body = b""
            else:
                headers.append((b"content-type", MEDIA_TYPE.encode()))
            lines = [b"%b: %b\r\n" % header for header in headers]
            self._refusal = b"".join([STATUS_LINE[status], *lines, b"\r\n", body])
            if self.cycle is None or self.cycle.response_complete:
                self._send_refusal()

    def _is_head(self) -> bool:
        """Tell whether the request whose head is coming is a HEAD, as far as that has come."""
        # The parser knows the method once it has seen a part of the URL; before, it tells another.
        return bool(self.url) and self.parser.get_method() == b"HEAD"

    def _send_refusal(self) -> None:
        self.transport.write(self._refusal)
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
