"""JSON arrays that are rendered in parts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing


async def json_array(
    parts: AsyncGenerator[bytes, None], prefix: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """Yield the prefix and an array of the parts, then close their generator.

    A part is one element or several, with commas between.
    """
    separator = prefix + b"["
    async with aclosing(parts):
        async for part in parts:
            yield separator + part
            separator = b","
    yield b"]" if separator == b"," else separator + b"]"
