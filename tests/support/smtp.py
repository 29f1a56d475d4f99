"""A mail server for tests, on loopback. It accepts messages, or fails at a chosen stage."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import Enum, auto
from typing import Any, AnyStr

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class ReceivedMessage:
    """A message as it arrived, with its envelope."""

    sender: str
    recipients: list[str]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        parsed = message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


class Stage(Enum):
    """A stage of an SMTP session at which the server can fail."""

    GREETING = auto()
    """Before the greeting."""
    HELLO = auto()
    """Before the reply to EHLO."""
    SENDER = auto()
    """Before the reply to MAIL."""
    RECIPIENT = auto()
    """Before the reply to RCPT."""
    DATA = auto()
    """Before the reply to DATA."""
    TRANSFER = auto()
    """While the content is sent."""
    CONTENT = auto()
    """After the content, which is not accepted."""
    ACCEPTED = auto()
    """After the message was accepted, before the reply."""
    QUIT = auto()
    """Before the reply to QUIT."""


BEFORE_ACCEPTANCE = tuple(stage for stage in Stage if stage.value < Stage.ACCEPTED.value)


@dataclass
class Fault:
    """A failure of every session that reaches the stage: it hangs, or its connection is cut."""

    stage: Stage
    cuts: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a session has reached the stage."""


@dataclass
class MailServer:
    """A mail server that stores accepted messages in `mailbox`; other attributes set faults."""

    port: int = 0
    mailbox: list[ReceivedMessage] = field(default_factory=list)
    refused_sender: str = ""
    """The reply to every sender instead of accepting it."""
    refused: dict[str, str] = field(default_factory=dict)
    """The reply, such as `550 No such user`, by recipient."""
    replies: list[str] = field(default_factory=list)
    """The replies to the next messages instead of accepting them."""
    delay: float = 0
    """Seconds before a message is accepted."""
    sessions: int = 0
    """The connections so far."""
    most_sessions: int = 0
    """The most connections at once so far."""
    farewells: int = 0
    """The connections that ended with QUIT so far."""
    most_messages: int = 0
    """Messages of a connection after which it replies 421 to MAIL; 0 for no limit."""
    open_sessions: "set[_Session]" = field(default_factory=set)
    fault: Fault | None = None
    unacknowledged: set[str] = field(default_factory=set)
    """The Message-IDs that were accepted without a reply."""
    arrival: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a message has been accepted."""
    options: dict[str, Any] = field(default_factory=dict)
    """The options of aiosmtpd's SMTP."""
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The value of SMTP_URL for this server."""
        return f"smtp://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen: on a free port the first time, and on the same port later."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Accept no more connections, and no more messages on those that are open."""
        if self._server is not None:
            self._server.close()

    def cut_idle(self) -> None:
        """Close the connections on which no message is being sent."""
        for session in list(self.open_sessions):
            if session.envelope is None or session.envelope.mail_from is None:
                cut(session)

    def _session(self) -> asyncio.Protocol:
        self.sessions += 1
        if self.fault is not None and self.fault.stage is Stage.GREETING:
            self.fault.reached.set()
            return _Silent(self.fault)
        return _Session(self, **self.options)

    async def fail_at(self, server: SMTP, stage: Stage) -> None:
        """Hang or cut the connection if the fault is at this stage."""
        fault = self.fault
        if fault is None or fault.stage is not stage:
            return
        fault.reached.set()
        if fault.cuts:
            cut(server)
        # aiosmtpd cancels this when the connection ends.
        await asyncio.get_running_loop().create_future()

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Reply to EHLO."""
        await self.fail_at(server, Stage.HELLO)
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Reply to MAIL; end the connection if new ones are refused or fail."""
        is_listening = self._server is not None and self._server.is_serving()
        stage = self.fault and self.fault.stage
        if not is_listening or stage in (Stage.GREETING, Stage.HELLO):
            cut(server)
        await self.fail_at(server, Stage.SENDER)
        assert isinstance(server, _Session)
        if 0 < self.most_messages <= server.messages:
            return "421 4.7.0 Too many messages on this connection"
        server.messages += 1
        if self.refused_sender:
            return self.refused_sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Reply to RCPT."""
        await self.fail_at(server, Stage.RECIPIENT)
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Reply to the content of a message."""
        await self.fail_at(server, Stage.CONTENT)
        await asyncio.sleep(self.delay)
        if self.replies:
            return self.replies.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        assert envelope.mail_from is not None
        received = ReceivedMessage(envelope.mail_from, list(envelope.rcpt_tos), content)
        self.mailbox.append(received)
        self.arrival.set()
        if self.fault is not None and self.fault.stage is Stage.ACCEPTED:
            self.unacknowledged.add(received.message["Message-ID"])
        await self.fail_at(server, Stage.ACCEPTED)
        return "250 OK"

    async def handle_QUIT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Reply to QUIT."""
        self.farewells += 1
        await self.fail_at(server, Stage.QUIT)
        return "221 Bye"


def cut(server: SMTP) -> None:
    """Close the connection of a session at once."""
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


class _Session(SMTP):
    """A session that can fail before and after the reply to DATA, where aiosmtpd has no hook."""

    messages = 0
    """The messages that were announced so far."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.event_handler.open_sessions.add(self)
        self.event_handler.most_sessions = max(
            self.event_handler.most_sessions, len(self.event_handler.open_sessions)
        )

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.open_sessions.discard(self)
        super().connection_lost(error)

    async def push(self, status: AnyStr) -> None:
        is_reply_to_data = str(status).startswith("354")
        if is_reply_to_data:
            await self.event_handler.fail_at(self, Stage.DATA)
        await super().push(status)
        if is_reply_to_data:
            await self.event_handler.fail_at(self, Stage.TRANSFER)


class _Silent(asyncio.Protocol):
    """A session without a greeting."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._fault.cuts:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()


@asynccontextmanager
async def run_mail_server(
    fault: Fault | None = None, *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[MailServer]:
    """Run a mail server on a free port, in this event loop; options go to aiosmtpd's SMTP.

    With `tls` the connection is encrypted from the start; the option `tls_context` offers STARTTLS.
    """
    settings: dict[str, Any] = {"enable_SMTPUTF8": True, "hostname": "sink.example", **options}
    server = MailServer(fault=fault, options=settings, tls=tls)
    await server.open()
    try:
        yield server
    finally:
        server.close()
