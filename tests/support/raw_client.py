"""A client that sends and receives raw bytes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class Cut(Exception):
    """The connection ended before the answer was whole; says how much of it had come."""


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server says that the connection ends with it."""
        return self.headers.get("connection", "").lower() == "close"

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


class RawClient:
    """One connection to a server."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._key = key

    def begin(self, method: str, path: str, *headers: str) -> None:
        """Send the head of a request."""
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: invoicing.example",
            f"Authorization: Token {self._key}",
            *headers,
        ]
        self.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)

    async def answer(self, *, has_body: bool = True) -> Answer:
        """Wait for a whole answer; raises `Cut`."""
        head = b""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            status, *lines = head.decode().split("\r\n")[:-2]
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
            }
            if not has_body:
                body = b""
            elif headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(await self._reader.readuntil(b"\r\n"), 16):
                    body += (await self._reader.readexactly(size + 2))[:-2]
                await self._reader.readexactly(2)
            else:
                body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Cut(f"after {head!r}: {error!r}") from error
        return Answer(int(status.split()[1]), headers, body)

    async def ask(self, method: str, path: str, *headers: str) -> Answer:
        """Send a request without a body, with further headers, and wait for its answer."""
        self.begin(method, path, *headers)
        return await self.answer(has_body=method != "HEAD")

    async def get(self, path: str) -> Answer:
        """Send a request without a body and wait for its answer."""
        return await self.ask("GET", path)

    async def post(self, path: str, value: object) -> Answer:
        """Send a JSON body and wait for the answer."""
        body = json.dumps(value).encode()
        self.begin("POST", path, "Content-Type: application/json", f"Content-Length: {len(body)}")
        self.write(body)
        return await self.answer()

    async def ended(self) -> bool:
        """Wait until the server ends the connection; return whether it sent nothing before."""
        try:
            return not await self._reader.read()
        except ConnectionError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


@asynccontextmanager
async def raw_clients(url: str, key: str) -> AsyncIterator[Callable[[], Awaitable[RawClient]]]:
    """Yield a function that opens a connection; all are closed at the end.

    It raises `ConnectionRefusedError` where nobody listens.
    """
    parsed = urlsplit(url)
    opened: list[RawClient] = []

    async def connect() -> RawClient:
        reader, writer = await asyncio.open_connection(parsed.hostname, parsed.port)
        opened.append(RawClient(reader, writer, key))
        return opened[-1]

    try:
        yield connect
    finally:
        for client in opened:
            client.close()
