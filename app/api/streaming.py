"""Responses that are sent while they are rendered."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.json_response import MEDIA_TYPE
from app.logging import get_logger

CLIENT_TIMEOUT = 30.0
"""Seconds in which a client must read a part of a response."""
CUT: Final = "cut"
"""In the state of a connection: what ends it at once."""

_logger = get_logger(__name__)


class ClientTooSlow(Exception):
    """A client stopped reading a response, which ends unfinished."""


class JsonStream(StreamingResponse):
    """A response in parts, by default JSON.

    A failure before the first part is an ordinary error response. The generator is closed however
    the response ends, also if the client disconnects or stops reading. A few clients that read
    nothing must not hold all connections to the database.
    """

    def __init__(
        self,
        parts: AsyncGenerator[bytes, None],
        headers: Mapping[str, str] | None = None,
        media_type: str = MEDIA_TYPE,
    ) -> None:
        super().__init__(parts, 200, headers, media_type)
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; raises `ClientTooSlow` if the server cannot close the connection."""
        try:
            await super().__call__(scope, receive, send)
        except ClientTooSlow:
            cut = scope.get("state", {}).get(CUT)
            if cut is None:
                raise
            _logger.info("client too slow", was="to take a part")
            cut()
            # Nothing can be sent once the connection is closed.
            await self.listen_for_disconnect(receive)

    async def stream_response(self, send: Send) -> None:
        """Send the parts, and nothing before the first is rendered."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(CLIENT_TIMEOUT):
                    await send(message)
            except TimeoutError:
                raise ClientTooSlow(f"nothing was read in {CLIENT_TIMEOUT:g} seconds") from None

        async with aclosing(self._parts) as parts:
            first = await anext(parts, b"")
            await send_in_time(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            await send_in_time({"type": "http.response.body", "body": first, "more_body": True})
            async for part in parts:
                await send_in_time({"type": "http.response.body", "body": part, "more_body": True})
            await send_in_time({"type": "http.response.body", "body": b"", "more_body": False})
