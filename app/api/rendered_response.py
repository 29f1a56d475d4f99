"""Answers that are written before the change that they report is committed.

What is sent is then what was committed, and it can be kept with the change, to be sent again.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import zstandard
from fastapi import Response

from app.api.caching.conditional_get import STREAM_ABOVE
from app.api.json_response import encoded
from app.api.streaming import JsonStream

_LEVEL: Final = 3
_PART: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """A JSON answer, or one without a body, that needs nothing more to be sent.

    One that would be streamed is held compressed.
    """

    body: bytes = b""
    is_packed: bool = False
    """Whether the body is compressed."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    async def of_parts(cls, parts: AsyncIterable[bytes]) -> Self:
        """Return an answer whose JSON is made of parts, in little memory however long it is."""
        begun: list[bytes] = []
        size = 0
        packer = None
        async for part in parts:
            size += len(part)
            begun.append(part)
            if packer is None and size > STREAM_ABOVE:
                packer = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
                begun = [packer.compress(b"".join(begun))]
            elif packer is not None:
                begun[-1] = packer.compress(part)
        if packer is not None:
            begun.append(packer.flush())
        return cls(b"".join(begun), is_packed=packer is not None)

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """Return what is sent, with further headers."""
        told = {**self.headers, **(headers or {})}
        if self.is_packed:
            return JsonStream(_unpacked(self.body), told)
        if not self.body:
            return Response(None, self.status, told)
        return encoded(self.body, self.status, told)


async def _unpacked(body: bytes) -> AsyncGenerator[bytes, None]:
    for part in zstandard.ZstdDecompressor().read_to_iter(body, write_size=_PART):
        yield part
