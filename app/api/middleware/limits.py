"""Limits of every request: the size of its head and body, and the time that it may take.

The server limits incomplete heads (`app/server/connection.py`). Readers of bodies limit what they
read (`app/api/request_body.py`).
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import ApiError, TooLarge, body_too_long, error_response
from app.api.middleware.rate_limit import UNLIMITED
from app.api.multipart import TEXT_MAX_BYTES
from app.database.deadline import request_deadline

URL_MAX_BYTES: Final = 8 * 1024
"""Of path and query."""
HEADER_MAX_BYTES: Final = 8 * 1024
"""Of one header, name and value."""
HEADERS_MAX_BYTES: Final = 32 * 1024
"""Of all headers, names and values."""
HEADERS_MAX_NUMBER: Final = 100
PARAMETERS_MAX_NUMBER: Final = 200
"""In the query, repeated ones included."""
BODY_RATE: Final = 1024
"""Bytes per second that a body must have on average over the client timeout."""
URL_TOO_LONG: Final = f"The URL is longer than {URL_MAX_BYTES} bytes."
HEADERS_TOO_LONG: Final = f"The headers are longer than {HEADERS_MAX_BYTES} bytes together."
TOO_MANY_CONNECTIONS: Final = "too_many_connections"
"""The key that is true in the state of a connection beyond `MAX_CONNECTIONS`."""
BROKEN_BODY: Final = "broken_body"
"""The key of the error, status and detail, in the state of a request whose body is malformed."""
LINGER_SECONDS: Final = 0.5
"""Between a response that ends a connection and its end. A client that is still sending can read
the response meanwhile; the end itself may reset the connection."""
_CLOSE: Final = {"Connection": "close"}


class BodyTooSlow(ApiError):
    """408: the body did not arrive in time."""

    def __init__(self) -> None:
        detail = "The request body did not come in time."
        super().__init__(408, {"detail": detail}, _CLOSE)


class LimitsMiddleware:
    """Refuses requests that exceed a limit, before anything else reads them."""

    def __init__(self, app: ASGIApp, client_timeout: float, body_max_bytes: int) -> None:
        self._app = app
        self._timeout = client_timeout
        self._body_max_bytes = body_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = _content_length(scope)
        if length != 0:
            # A client that waits for 100 Continue may send its next request instead of the body.
            expects_continue = any(name == b"expect" for name, _ in scope["headers"])
            is_cut = length is None or length > self._body_max_bytes or expects_continue
            body = _RequestBody(scope, receive, send, self._timeout, is_cut)
            receive, send = body.receive, body.send
        error = _head_error(scope) or (self._body_error(scope, length) if length != 0 else None)
        if error is None and scope.get("state", {}).get(TOO_MANY_CONNECTIONS):
            error = _connection_error(scope)
        if error is None:
            await self._app(scope, receive, send)
        else:
            await error_response(error)(scope, receive, send)

    def _body_error(self, scope: Scope, length: int | None) -> ApiError | None:
        if length is not None and length > self._body_max_bytes:
            return TooLarge(body_too_long(self._body_max_bytes), _CLOSE)
        if error := _transfer_coding_error(scope) or _broken_body_error(scope):
            return error
        # No operation decodes a compressed body (RFC 9110, section 15.5.16).
        values = [value for name, value in scope["headers"] if name == b"content-encoding"]
        codings = b",".join(values).decode("latin-1").lower().split(",")
        others = [name for each in codings if (name := each.strip()) not in ("", "identity")]
        if not others:
            return None
        detail = (
            f'The content coding "{", ".join(others)}" is not supported: send the body as it is.'
        )
        return ApiError(415, {"detail": detail}, {"Accept-Encoding": "identity"})


class DeadlineMiddleware:
    """Limits the time that a request spends on the database, until its response starts.

    All time of a request without a body counts, so that a crowd of them is answered in time.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_no_body = scope["method"] in ("GET", "HEAD")
        with request_deadline(self._seconds, counts_all_time=has_no_body) as deadline:

            async def start_response(message: Message) -> None:
                deadline.cancel()
                await send(message)

            await self._app(scope, receive, start_response)


def body_max_bytes(proof_max_bytes: int) -> int:
    """Return the maximum length of any operation's body: text fields, and a proof."""
    return TEXT_MAX_BYTES + proof_max_bytes


def _content_length(scope: Scope) -> int | None:
    """Return the length of the body in bytes; None if the head does not say."""
    length = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            return None
    return length


def _broken_body_error(scope: Scope) -> ApiError | None:
    status_and_detail = scope.get("state", {}).get(BROKEN_BODY)
    if status_and_detail is None:
        return None
    status, detail = status_and_detail
    return ApiError(status, {"detail": detail}, _CLOSE)


def _transfer_coding_error(scope: Scope) -> ApiError | None:
    """Refuse every transfer coding but `chunked` (RFC 9112, sections 6.1 and 6.3).

    Unless `chunked` is the last coding, the end of the body is unknown. HTTP/1.0 has no transfer
    codings: a gateway of that version may have seen another body.
    """
    values = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
    if not values:
        return None
    codings = b",".join(values).decode("latin-1").lower().split(",")
    *others, last = (coding.strip() for coding in codings)
    if last != "chunked" or "chunked" in others or scope.get("http_version") == "1.0":
        detail = "The end of the request body is unknown: send it with Content-Length, or chunked."
        return ApiError(400, {"detail": detail}, _CLOSE)
    if others:
        detail = f'The transfer coding "{", ".join(others)}" is not supported.'
        return ApiError(501, {"detail": detail}, _CLOSE)
    return None


def _head_error(scope: Scope) -> ApiError | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > URL_MAX_BYTES:
        return ApiError(414, {"detail": URL_TOO_LONG})
    if scope["query_string"].count(b"&") >= PARAMETERS_MAX_NUMBER:
        detail = f"There are more than {PARAMETERS_MAX_NUMBER} query parameters."
        return ApiError(400, {"detail": detail})
    hosts = total = longest = 0
    for name, value in scope["headers"]:
        length = len(name) + len(value)
        hosts += name == b"host"
        total += length
        longest = max(longest, length)
    if hosts > 1 or (not hosts and scope.get("http_version") == "1.1"):
        # A proxy before this service may have used another one (RFC 9112, section 3.2).
        return ApiError(400, {"detail": "A request has exactly one Host header."}, _CLOSE)
    if len(scope["headers"]) > HEADERS_MAX_NUMBER:
        detail = f"There are more than {HEADERS_MAX_NUMBER} headers."
    elif total > HEADERS_MAX_BYTES:
        detail = HEADERS_TOO_LONG
    elif longest > HEADER_MAX_BYTES:
        detail = f"A header is longer than {HEADER_MAX_BYTES} bytes."
    else:
        return None
    return ApiError(431, {"detail": detail})


def _connection_error(scope: Scope) -> ApiError | None:
    if scope["path"].startswith(UNLIMITED):
        return None
    detail = "There are too many connections now. Try again."
    return ApiError(503, {"detail": detail}, {"Retry-After": "1", **_CLOSE})


@dataclass(slots=True)
class _RequestBody:
    """The body of one request, which must have a minimum rate while the application waits."""

    _scope: Scope
    _receive: Receive
    _send: Send
    _timeout: float
    _is_cut: bool
    """Whether a response before the end of the body ends the connection."""
    _response_started: bool = False
    _ended: bool = False
    _waited: float = 0.0
    _received_bytes: int = 0

    async def receive(self) -> Message:
        """Receive the next part. Raises `BodyTooSlow`, or the `ApiError` of a malformed body."""
        loop = asyncio.get_running_loop()
        while not self._ended and not self._response_started:
            started = loop.time()
            try:
                async with asyncio.timeout(self._timeout - self._waited):
                    message = await self._receive()
            except TimeoutError:
                if self._received_bytes < BODY_RATE * self._timeout:
                    raise BodyTooSlow from None
                self._waited, self._received_bytes = 0.0, 0
            else:
                if error := _broken_body_error(self._scope):
                    raise error
                self._waited += loop.time() - started
                self._received_bytes += len(message.get("body", b""))
                self._ended = not message.get("more_body", False)
                return message
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send a part of the response; before the body has ended, it may end the connection.

        A client that is still sending when the connection ends may lose the response. So the
        connection ends only if the whole body would stay unread, and `LINGER_SECONDS` after the
        response. The rest of any other body is read and dropped.
        """
        if message["type"] == "http.response.start":
            self._response_started = True
            names = [name.lower() for name, _ in message["headers"]]
            if self._is_cut and not self._ended and b"connection" not in names:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        elif self._is_cut and not self._ended and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await asyncio.sleep(LINGER_SECONDS)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)
