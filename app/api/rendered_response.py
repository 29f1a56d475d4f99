"""Responses that are rendered before the change that they show is committed.

They show the committed state, and can be stored with the change for a repeated request.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import zstandard
from fastapi import Response

from app.api.caching.conditional_get import STREAM_ABOVE
from app.api.json_response import MEDIA_TYPE
from app.api.streaming import JsonStream

_LEVEL: Final = 3
_CHUNK_SIZE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class RenderedResponse:
    """A JSON response, or one without a body. A body long enough to be streamed is compressed."""

    body: bytes = b""
    is_compressed: bool = False
    """Whether the body is compressed with Zstandard."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    async def from_parts(cls, parts: AsyncIterable[bytes]) -> Self:
        """Return a response from the parts of its body, in little memory whatever its length."""
        chunks: list[bytes] = []
        size = 0
        compressor = None
        async for part in parts:
            size += len(part)
            chunks.append(part)
            if compressor is None and size > STREAM_ABOVE:
                compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
                chunks = [compressor.compress(b"".join(chunks))]
            elif compressor is not None:
                chunks[-1] = compressor.compress(part)
        if compressor is not None:
            chunks.append(compressor.flush())
        return cls(b"".join(chunks), is_compressed=compressor is not None)

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """Return the response to send, with additional headers."""
        all_headers = {**self.headers, **(headers or {})}
        if self.is_compressed:
            return JsonStream(_decompressed(self.body), all_headers)
        if not self.body:
            return Response(None, self.status, all_headers)
        return Response(self.body, self.status, all_headers, MEDIA_TYPE)


async def _decompressed(body: bytes) -> AsyncGenerator[bytes, None]:
    for part in zstandard.ZstdDecompressor().read_to_iter(body, write_size=_CHUNK_SIZE):
        yield part
