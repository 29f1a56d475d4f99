"""How much a client may send, and how slowly: the bounds that all operations share.

Heads that never end are the server's matter (`app/server/protocol.py`), the size of a body that
of who reads it (`app/api/request_body.py`).
"""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import ApiError, TooLarge, error_response
from app.api.middleware.rate_limit.middleware import UNLIMITED
from app.api.multipart import TEXT_MAX_BYTES

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
"""Bytes a second that a body must bring, on the average over the patience with a client."""
URL_TOO_LONG: Final = f"The URL is longer than {URL_MAX_BYTES} bytes."
HEADERS_TOO_LONG: Final = f"The headers are longer than {HEADERS_MAX_BYTES} bytes together."
CROWDED: Final = "crowded"
"""What is true in the state of a connection that is one too many."""
BROKEN: Final = "broken"
"""What is in the state of a request whose body cannot be read to its end: status and detail."""
_CLOSE: Final = {"Connection": "close"}


LINGER: Final = 0.5
"""Seconds from an answer that ends a connection to its end, in which a client that is still sending
can read the answer: the end itself may reset the connection."""


class TooSlow(ApiError):
    """408: a body that does not come."""

    def __init__(self) -> None:
        detail = "The request body did not come in time."
        super().__init__(408, {"detail": detail}, _CLOSE)


class BoundsMiddleware:
    """Refuses what is too large before anything else looks at it, and bodies that come slowly."""

    def __init__(self, app: ASGIApp, client_timeout: float, body_max_bytes: int) -> None:
        self._app = app
        self._patience = client_timeout
        self._body_max_bytes = body_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = _length_of_body(scope)
        if length != 0:
            # A client that waits for 100 Continue may go on with its next request instead.
            is_cut = length is None or length > self._body_max_bytes or _expects_continue(scope)
            body = _Body(scope, receive, send, self._patience, is_cut=is_cut)
            receive, send = body.receive, body.send
        problem = self._problem(scope, length)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await error_response(problem)(scope, receive, send)

    def _problem(self, scope: Scope, length: int | None) -> ApiError | None:
        problem = _problem_of_head(scope)
        if problem is None and length is not None and length > self._body_max_bytes:
            return TooLarge(body_too_long(self._body_max_bytes), _CLOSE)
        return problem or _problem_of_coding(scope) or _broken(scope) or _crowded(scope)


def body_max_bytes(proof_max_bytes: int) -> int:
    """Return how long a body of any operation may be: text fields, and a proof."""
    return TEXT_MAX_BYTES + proof_max_bytes


def body_too_long(limit: int) -> str:
    """Return the message for a body that is longer than `limit` bytes."""
    return f"The request body is larger than {limit} bytes."


def _length_of_body(scope: Scope) -> int | None:
    """Return how long the request's body will be, in bytes; None where that is not told."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0


def _expects_continue(scope: Scope) -> bool:
    return any(name == b"expect" for name, _ in scope["headers"])


def _broken(scope: Scope) -> ApiError | None:
    """Return the answer to a request whose body turned out to be broken; None while it is not."""
    status_and_detail = scope.get("state", {}).get(BROKEN)
    if status_and_detail is None:
        return None
    status, detail = status_and_detail
    return ApiError(status, {"detail": detail}, _CLOSE)


def _problem_of_coding(scope: Scope) -> ApiError | None:
    """Refuse every transfer coding but `chunked` (RFC 9112, 6.1 and 6.3).

    Without `chunked` as the last coding the end of the body is unknown; other codings are not
    supported.
    HTTP/1.0 has no transfer codings: a gateway of that version may have seen another body.
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


def _problem_of_head(scope: Scope) -> ApiError | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > URL_MAX_BYTES:
        return ApiError(414, {"detail": URL_TOO_LONG})
    if scope["query_string"].count(b"&") >= PARAMETERS_MAX_NUMBER:
        detail = f"There are more than {PARAMETERS_MAX_NUMBER} query parameters."
        return ApiError(400, {"detail": detail})
    hosts = sum(name == b"host" for name, _ in scope["headers"])
    if hosts > 1 or (not hosts and scope.get("http_version") == "1.1"):
        # Who passes the request on may have believed another one (RFC 9112, 3.2).
        return ApiError(400, {"detail": "A request has exactly one Host header."}, _CLOSE)
    lengths = [len(name) + len(value) for name, value in scope["headers"]]
    if len(lengths) > HEADERS_MAX_NUMBER:
        detail = f"There are more than {HEADERS_MAX_NUMBER} headers."
    elif sum(lengths) > HEADERS_MAX_BYTES:
        detail = HEADERS_TOO_LONG
    elif max(lengths, default=0) > HEADER_MAX_BYTES:
        detail = f"A header is longer than {HEADER_MAX_BYTES} bytes."
    else:
        return None
    return ApiError(431, {"detail": detail})


def _crowded(scope: Scope) -> ApiError | None:
    if not scope.get("state", {}).get(CROWDED) or scope["path"].startswith(UNLIMITED):
        return None
    detail = "There are too many connections now. Try again."
    return ApiError(503, {"detail": detail}, {"Retry-After": "1", **_CLOSE})


class _Body:
    """The body of one request, which must bring something in every stretch of waiting for it."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, patience: float, *, is_cut: bool
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._patience = patience
        self._is_cut = is_cut
        """Whether an answer before the end of the body ends the connection."""
        self._answered = False
        self._ended = False
        self._waited = 0.0
        self._brought = 0

    async def receive(self) -> Message:
        """Wait for more, of the body not for long; raises `TooSlow`, or how it is broken."""
        loop = asyncio.get_running_loop()
        while not self._ended and not self._answered:
            begun = loop.time()
            try:
                async with asyncio.timeout(self._patience - self._waited):
                    message = await self._receive()
            except TimeoutError:
                if self._brought < BODY_RATE * self._patience:
                    raise TooSlow from None
                self._waited, self._brought = 0.0, 0
            else:
                if broken := _broken(self._scope):
                    raise broken
                self._waited += loop.time() - begun
                self._brought += len(message.get("body", b""))
                self._ended = not message.get("more_body", False)
                return message
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send a part of the answer; before the body has ended, it may end the connection.

        To end it while the client is still sending can cost the client the answer, so this is for
        bodies that nobody would read whole, and the end comes `LINGER` seconds after the answer. Of
        any other body the rest is read and dropped.
        """
        if message["type"] == "http.response.start":
            self._answered = True
            names = [name.lower() for name, _ in message["headers"]]
            if self._is_cut and not self._ended and b"connection" not in names:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        elif self._is_cut and not self._ended and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await asyncio.sleep(LINGER)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)
