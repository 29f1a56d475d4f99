"""Answers that are sent while they are made."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.json_response import MEDIA_TYPE
from app.logging import get_logger

PATIENCE = 30.0
"""Seconds in which a client must take a part of an answer."""


CUT: Final = "cut"
"""In the state of a connection: what ends it at once."""

_logger = get_logger(__name__)


class ClientTooSlow(Exception):
    """A client stopped reading amid an answer, which is cut off."""


class JsonStream(StreamingResponse):
    """A JSON answer of parts; what fails before the first part is an ordinary error.

    However the answer ends, also when the client goes away or stops reading, the generator is
    closed, and with it what it holds: a few clients that read nothing must not keep all the
    connections to the database.
    """

    def __init__(
        self, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(parts, 200, headers, MEDIA_TYPE)
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; raises `ClientTooSlow` where the server cannot cut the connection."""
        try:
            await super().__call__(scope, receive, send)
        except ClientTooSlow:
            cut = scope.get("state", {}).get(CUT)
            if cut is None:
                raise
            _logger.info("client too slow", was="to take a part")
            cut()
            # Once the connection is gone, there is nothing that would still have to be sent.
            await self.listen_for_disconnect(receive)

    async def stream_response(self, send: Send) -> None:
        """Send the parts, and nothing at all until there is the first."""

        async def taken(message: Message) -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await send(message)
            except TimeoutError:
                raise ClientTooSlow(f"nothing was read in {PATIENCE:g} seconds") from None

        async with aclosing(self._parts) as parts:
            first = await anext(parts, b"")
            await taken(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            await taken({"type": "http.response.body", "body": first, "more_body": True})
            async for part in parts:
                await taken({"type": "http.response.body", "body": part, "more_body": True})
            await taken({"type": "http.response.body", "body": b"", "more_body": False})
