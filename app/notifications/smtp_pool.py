"""A pool of connections to the mail server, which later messages use again."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Final

from pydantic_core import Url

from app.notifications.outgoing import OutgoingMail
from app.notifications.smtp import SmtpTransport, TemporaryDeliveryError, connect

IDLE_LIMIT: Final = 5.0
"""Seconds without a message after which a connection is closed. Mail servers that are busy close
idle connections after ten seconds or more."""
MESSAGE_LIMIT: Final = 100
"""Messages after which a connection is closed; some mail servers allow no more."""


@dataclass(eq=False)
class _Idle:
    """A connection that waits for a message."""

    transport: SmtpTransport
    expiry: asyncio.TimerHandle


class SmtpPool:
    """Connections to one mail server, each used by one message at a time.

    A connection is opened when none is idle, so there are as many as messages are sent at once. It
    is kept only after a message was accepted, until it is idle for `IDLE_LIMIT` seconds or has
    carried `MESSAGE_LIMIT` messages.
    """

    def __init__(self, url: Url, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._idle: list[_Idle] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def send(self, mail: OutgoingMail) -> None:
        """Return once the server has accepted the mail; raises the errors of SmtpTransport.

        A server may close a connection that is kept. A refusal or an error at the start of a mail
        on such a connection, before any of it was transferred, therefore has no consequence but
        that the mail is started again on a new connection.
        """
        transport = await self._start_on_kept(mail)
        if transport is None:
            transport = await connect(self._url, self._timeout)
            await self._run(transport, transport.start(mail))
        await self._run(transport, transport.transfer(mail))
        self._keep(transport)

    async def aclose(self) -> None:
        """End all connections that are idle, with QUIT."""
        self._is_closed = True
        while self._idle:
            self._close(self._take())
        if self._closing:
            await asyncio.wait(self._closing)

    async def _start_on_kept(self, mail: OutgoingMail) -> SmtpTransport | None:
        """Start a mail on an idle connection and return that; None if there is none that works."""
        while self._idle:
            transport = self._take()
            if not transport.is_open:
                continue
            try:
                await self._run(transport, transport.start(mail))
            except TemporaryDeliveryError:
                return None
            return transport
        return None

    async def _run(self, transport: SmtpTransport, exchange: Coroutine[None, None, None]) -> None:
        """Run a part of a message; end the connection if it fails."""
        try:
            await exchange
        except Exception:
            await transport.quit()
            raise
        except BaseException:
            transport.abort()
            raise

    def _take(self) -> SmtpTransport:
        idle = self._idle.pop()
        idle.expiry.cancel()
        return idle.transport

    def _keep(self, transport: SmtpTransport) -> None:
        if self._is_closed or transport.messages >= MESSAGE_LIMIT:
            self._close(transport)
        elif transport.is_open:
            expiry = asyncio.get_running_loop().call_later(IDLE_LIMIT, self._expire, transport)
            self._idle.append(_Idle(transport, expiry))

    def _expire(self, transport: SmtpTransport) -> None:
        self._idle = [idle for idle in self._idle if idle.transport is not transport]
        self._close(transport)

    def _close(self, transport: SmtpTransport) -> None:
        """End a connection in the background: no message waits for the reply to QUIT."""
        task = asyncio.create_task(transport.quit())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
