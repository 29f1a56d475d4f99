"""A mail server that takes everything and reports each message: `python -m benchmarks.sink`.

It writes its port, and then the time of each arrival in seconds, one a line. Each line on its
standard input is a delay of every reply from then on, in seconds. It knows just enough of SMTP to
take little of the time that is measured.
"""

import asyncio
import sys
import time
from typing import Final, cast

import uvloop

_REPLIES: Final = {
    b"EHLO": b"250-sink.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 100000000\r\n",
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 Bye\r\n",
}
_OK: Final = b"250 OK\r\n"
_END: Final = b"\r\n.\r\n"


class _Sink:
    """What all connections share."""

    delay = 0.0
    """Seconds before each reply."""


class _Session(asyncio.Protocol):
    """A connection: commands in lines, and messages that end with a dot."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._line = b""
        self._tail: bytes | None = None
        """The last bytes of the message that is arriving; None between messages."""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has a class of its own
        self._reply(b"220 sink.example\r\n")

    def data_received(self, data: bytes) -> None:
        if self._tail is not None:
            self._tail = (self._tail + data[-len(_END) :])[-len(_END) :]
            if self._tail == _END:
                self._tail = None
                print(time.monotonic(), flush=True)  # noqa: T201 - its result
                self._reply(_OK)
            return
        self._line += data
        if self._line.endswith(b"\r\n"):  # a client that waits for each reply sends one line
            command, self._line = self._line[:4].upper(), b""
            if command == b"DATA":
                self._tail = b""
            self._reply(_REPLIES.get(command, _OK))

    def _reply(self, line: bytes) -> None:
        assert self._transport is not None
        if self._sink.delay:
            loop = asyncio.get_running_loop()
            loop.call_later(self._sink.delay, self._transport.write, line)
        else:
            self._transport.write(line)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    sink = _Sink()
    server = await loop.create_server(lambda: _Session(sink), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - its result
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        sink.delay = float(line)


if __name__ == "__main__":
    uvloop.run(_main())
