"""Answers that are sent while they are made."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Send

from app.http.json import MEDIA_TYPE


class JsonStream(StreamingResponse):
    """A JSON answer of parts; what fails before the first part is an ordinary error.

    However the answer ends, also when the client goes away, the generator is closed, and with it
    what it holds.
    """

    def __init__(
        self, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(parts, 200, headers, MEDIA_TYPE)
        self._parts = parts

    async def stream_response(self, send: Send) -> None:
        """Send the parts, and nothing at all until there is the first."""
        async with aclosing(self._parts) as parts:
            first = await anext(parts, b"")
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
