"""How much a client may send, and how slowly: the bounds that all operations share.

Heads that never end are the server's matter (`app/http/connections.py`), the size of a body that
of who reads it (`app/http/bodies.py`).
"""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.errors import ApiError, answer_to
from app.http.throttling.middleware import UNLIMITED

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


class TooSlow(ApiError):
    """408: a body that does not come."""

    def __init__(self) -> None:
        detail = "The request body did not come in time."
        super().__init__(408, {"detail": detail}, {"Connection": "close"})


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
            body = _Body(receive, send, self._patience)
            receive = body.receive
            if length is None or length > self._body_max_bytes:
                send = body.send
        problem = _problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await answer_to(problem)(scope, receive, send)


def _length_of_body(scope: Scope) -> int | None:
    """Return how long the request's body will be, in bytes; None where that is not told."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0


def _problem(scope: Scope) -> ApiError | None:
    if scope.get("state", {}).get(CROWDED) and not scope["path"].startswith(UNLIMITED):
        detail = "There are too many connections now. Try again."
        return ApiError(503, {"detail": detail}, {"Retry-After": "1", "Connection": "close"})
    if len(scope["raw_path"]) + len(scope["query_string"]) > URL_MAX_BYTES:
        return ApiError(414, {"detail": URL_TOO_LONG})
    if scope["query_string"].count(b"&") >= PARAMETERS_MAX_NUMBER:
        detail = f"There are more than {PARAMETERS_MAX_NUMBER} query parameters."
        return ApiError(400, {"detail": detail})
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


class _Body:
    """The body of one request, which must bring something in every stretch of waiting for it."""

    def __init__(self, receive: Receive, send: Send, patience: float) -> None:
        self._receive = receive
        self._send = send
        self._patience = patience
        self._ended = False
        self._waited = 0.0
        self._brought = 0

    async def receive(self) -> Message:
        """Wait for more, of the body not for long; raises `TooSlow`."""
        loop = asyncio.get_running_loop()
        while not self._ended:
            begun = loop.time()
            try:
                async with asyncio.timeout(self._patience - self._waited):
                    message = await self._receive()
            except TimeoutError:
                if self._brought < BODY_RATE * self._patience:
                    raise TooSlow from None
                self._waited, self._brought = 0.0, 0
            else:
                self._waited += loop.time() - begun
                self._brought += len(message.get("body", b""))
                self._ended = not message.get("more_body", False)
                return message
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send a part of the answer; before the body has ended, it ends the connection.

        To end it while the client is still sending can cost the client the answer, so this is for
        bodies that nobody would read whole. Of any other the rest is read and dropped.
        """
        if message["type"] == "http.response.start" and not self._ended:
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await self._send(message)
