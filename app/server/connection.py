"""A client's connection: uvicorn's protocol with size limits, timeouts and graceful closing.

uvicorn waits for a request head, or for a client to read, for as long as the client stays, and
buffers a head of any length. Requests that it would refuse itself get this API's error body.
"""

import asyncio
import re
import select
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.api.errors import body_too_long
from app.api.json_response import MEDIA_TYPE, to_json_bytes
from app.api.middleware.limits import (
    BROKEN_BODY,
    HEADERS_MAX_BYTES,
    HEADERS_TOO_LONG,
    TOO_MANY_CONNECTIONS,
    URL_MAX_BYTES,
    URL_TOO_LONG,
    body_max_bytes,
)
from app.api.middleware.security_headers import ERROR_HEADERS
from app.api.streaming import CUT
from app.logging import get_logger
from app.settings import Settings
from app.shutdown import DRAINING

FIRST_REQUEST_SECONDS: Final = 1.0
"""Seconds that a connection accepted during shutdown has for its first request."""
HEAD_MAX_BYTES: Final = URL_MAX_BYTES + HEADERS_MAX_BYTES
"""Bytes of an incomplete head; a complete head has stricter limits."""
_CHECKS_PER_TIMEOUT: Final = 8
"""How often a connection is checked in the time that its client has."""
_INVALID_REQUEST: Final = "Invalid HTTP request received."
_UNKNOWN_METHOD: Final = 'The method "{}" is not supported.'
_REQUEST_LINE: Final = re.compile(rb"([-!#$%&'*+.^_`|~0-9A-Za-z]{1,40}) [!-~]+ HTTP/1\.[01]\r?\n")
"""With a method of any name (RFC 9110, section 9.1)."""
_BODY_IS_BROKEN: Final = "The request body is broken: {}."
_LENGTH_OVERFLOW: Final = "Content-Length overflow"
"""The parser's error for a length beyond 64 bits."""
_UPGRADE_HEADERS: Final = frozenset({b"upgrade", b"http2-settings"})

_logger = get_logger(__name__)


def has_unread_input(file_descriptors: list[int]) -> bool:
    """Return whether any socket has unread data, or a connection that is not accepted."""
    poll = select.poll()
    for descriptor in file_descriptors:
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class Connection(HttpToolsProtocol):
    """Serves one connection. The limits are those of the served application's settings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: Settings = self.app.state.settings
        self._timeout = float(settings.client_timeout)
        self._max_connections = settings.max_connections
        self._body_max_bytes = body_max_bytes(settings.proof_max_bytes)
        self._incomplete_bytes = 0
        """Bytes received of an incomplete head, chunk frame or trailer."""
        self._pauses = 0
        """How often the write buffer was full."""
        self._begun = 0
        """The number of requests that have begun in the data that is being parsed."""
        self._in_head = False
        """Whether a request has begun whose head is incomplete."""
        self._in_body = False
        """Whether a request's head is complete and its body is not."""
        self._ignores_input = False
        self._responding: RequestResponseCycle | None = None
        """The request that is being answered, or was answered last."""
        self._head_without_upgrade: bytes | None = None
        """The head of a request to change the protocol, without the headers that ask for it."""
        self._refusal = b""
        """The last response of the connection, while earlier requests are being answered."""
        self._waiting_for: tuple[str, object] | None = None
        self._waiting_since = 0.0
        self._check_timer: asyncio.TimerHandle | None = None

    # Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout; abort a connection beyond twice the maximum."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self._max_connections:
            transport.abort()
            return
        if len(self.connections) > self._max_connections:
            self.app_state = {**self.app_state, TOO_MANY_CONNECTIONS: True}
        self._schedule_check()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout, and let the request that is being answered see the disconnect."""
        if self._check_timer is not None:
            self._check_timer.cancel()
        super().connection_lost(exc)
        # uvicorn notifies the latest request, which may still wait for its turn.
        if self._responding is not None and not self._responding.response_complete:
            self._responding.disconnected = True
            self._responding.message_event.set()

    def announce_close(self) -> None:
        """Close the connection after the current response, unless that has begun."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def close_if_idle(self, *, await_first_request: bool) -> None:
        """Close the connection if no request has begun or waits to be read.

        If `await_first_request`, a connection that has had no request stays open.
        """
        is_responding = self.cycle is not None and not self.cycle.response_complete
        if is_responding or self._in_head or (await_first_request and self.cycle is None):
            return
        if self.transport.is_closing():  # its last response is still being sent
            return
        if not has_unread_input([self.transport.get_extra_info("socket").fileno()]):
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, unless its next request has just arrived."""
        self.close_if_idle(await_first_request=False)

    # Requests

    def data_received(self, data: bytes) -> None:
        """Parse received data; refuse what is malformed, or too long and still incomplete."""
        if self._ignores_input:
            return
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self._incomplete_bytes += len(data)
        self._parse(data)
        if self._incomplete_bytes > HEAD_MAX_BYTES and not self._ignores_input:
            if len(self.url) > URL_MAX_BYTES:
                self._refuse(414, URL_TOO_LONG)
            else:
                self._refuse(431, HEADERS_TOO_LONG)

    def _parse(self, data: bytes) -> None:
        self._begun = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._continue_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self._in_body:
                self._refuse(400, _BODY_IS_BROKEN.format(error))
            elif str(error) == _LENGTH_OVERFLOW:
                self._refuse(413, body_too_long(self._body_max_bytes))
            elif method := self._find_unknown_method(data, error):
                self._refuse(501, _UNKNOWN_METHOD.format(method))
            else:
                self._refuse(400, _INVALID_REQUEST)

    def _find_unknown_method(self, data: bytes, error: Exception) -> str | None:
        """Return the method that the parser does not know; None if the request is malformed.

        The request is the first in the data. One that follows another counts as malformed.
        """
        line = _REQUEST_LINE.match(data)
        if not isinstance(error, httptools.HttpParserInvalidMethodError) or line is None:
            return None
        return line[1].decode() if self._begun == 1 else None

    def _continue_without_upgrade(self, rest: bytes) -> None:
        """Parse a request to change the protocol again, without the headers that ask for it.

        A server may ignore `Upgrade` (RFC 9110, section 7.8). The parser would skip the body and
        take it for the next request.
        """
        head, self._head_without_upgrade = self._head_without_upgrade, None
        if head is None:  # CONNECT needs another protocol
            self._refuse(400, _INVALID_REQUEST)
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse(head + rest)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head = True
        self._begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start or queue the request; while draining, its response is the connection's last."""
        self._incomplete_bytes = 0
        if self.parser.should_upgrade():
            self._head_without_upgrade = self._format_head()
            return
        previous, queued = self.cycle, len(self.pipeline)
        super().on_headers_complete()
        if len(self.pipeline) == queued:
            self._responding = self.cycle
        self.cycle.scope["state"][CUT] = self.transport.abort
        self._in_head, self._in_body = False, True
        self.headers = []  # those that follow are trailers
        if self.app_state.get(DRAINING):
            self.cycle.keep_alive = False
            if previous is not None and not previous.response_started:
                # The request was pipelined: the response to the last one closes the connection.
                previous.keep_alive = True

    def _format_head(self) -> bytes | None:
        """Return the request's head without the headers that ask for another protocol."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            return None
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % each for each in self.headers if each[0] not in _UPGRADE_HEADERS]
        return b"\r\n".join([*lines, b"\r\n"])

    def on_body(self, body: bytes) -> None:
        """Receive a part of a body."""
        self._incomplete_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._incomplete_bytes = 0
        if self._head_without_upgrade is None and self._in_body:
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the next request; after the last one send the refusal, if there is one."""
        is_last = not self.pipeline
        if not is_last:
            self._responding = self.pipeline[-1][0]
        super().on_response_complete()
        if self._refusal and is_last and not self.transport.is_closing():
            self._send_refusal()

    def _refuse(self, status: int, detail: str) -> None:
        """Respond with an error, as the last response on this connection."""
        _logger.info("request refused", status=status, detail=detail)
        self._ignores_input = True
        if self._in_body and self.cycle.response_complete:
            self.transport.close()
        elif self._in_body:
            # The application responds, unless it has begun to.
            self.cycle.scope["state"][BROKEN_BODY] = status, detail
            self.cycle.keep_alive = False
            self.cycle.message_event.set()
        else:
            self._refusal = self._error_response(status, detail)
            if self.cycle is None or self.cycle.response_complete:
                self._send_refusal()

    def _error_response(self, status: int, detail: str) -> bytes:
        body = to_json_bytes({"detail": detail})
        headers = [
            *self.server_state.default_headers,
            *ERROR_HEADERS,
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        # The parser knows the method once it has seen a part of the URL.
        if self.url and self.parser.get_method() == b"HEAD":
            body = b""
        else:
            headers.append((b"content-type", MEDIA_TYPE.encode()))
        lines = [b"%b: %b\r\n" % header for header in headers]
        return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])

    def _send_refusal(self) -> None:
        self.transport.write(self._refusal)
        self.transport.close()

    # Timeouts

    def pause_writing(self) -> None:
        """Pause until the client has read a part of the response."""
        self._pauses += 1
        super().pause_writing()

    def _schedule_check(self) -> None:
        delay = self._timeout / _CHECKS_PER_TIMEOUT
        self._check_timer = self.loop.call_later(delay, self._check_progress)

    def _check_progress(self) -> None:
        """End the connection if its client has done nothing for the whole timeout."""
        waiting_for = self._client_duty()
        now = self.loop.time()
        if waiting_for is None or waiting_for != self._waiting_for:
            self._waiting_for, self._waiting_since = waiting_for, now
        elif now - self._waiting_since >= self._timeout:
            address = self.client and self.client[0]
            _logger.info("client too slow", address=address, was=waiting_for[0])
            self._time_out()
        self._schedule_check()

    def _client_duty(self) -> tuple[str, object] | None:
        """Return what the client has to do next, with a value that changes once it has done so.

        None while the service has to act, or while uvicorn's keep-alive timeout runs.
        """
        if self.transport.is_closing():
            return "to take the last", None
        if self.flow.write_paused:
            return "to take more", self._pauses
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        if self.timeout_keep_alive_task is not None:
            return None
        return "to send a head", self.cycle

    def _time_out(self) -> None:
        if self.transport.is_closing() or self.flow.write_paused:
            self.transport.abort()
        elif self._incomplete_bytes:
            self._refuse(408, "The request did not come in time.")
        else:
            self.transport.close()
