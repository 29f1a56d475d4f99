"""Mail servers for tests: one that takes mail, and one that misbehaves. Both on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import Enum, auto
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Received:
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
    """How far a conversation is: before the answer to what the stage is called by."""

    GREETING = auto()
    HELLO = auto()
    SENDER = auto()
    RECIPIENT = auto()
    CONTENT = auto()
    ACCEPTED = auto()
    """The message is in the mailbox, and the sender has not been told."""


@dataclass
class Trouble:
    """What befalls every conversation that comes as far as a stage: it hangs, or is cut off."""

    stage: Stage
    cuts: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when one has come so far."""


@dataclass
class MailSink:
    """A mail server that keeps what it accepts in `mailbox`.

    `refused` maps a recipient to the answer it gets, as `550 No such user`, and `refused_sender` is
    the answer that every sender gets; `answers` are given to
    the next messages instead of accepting them; `pause` is awaited before a message is accepted.
    While there is `trouble`, conversations come to that.
    """

    port: int = 0
    mailbox: list[Received] = field(default_factory=list)
    refused_sender: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    pause: float = 0
    sessions: int = 0
    trouble: Trouble | None = None
    unheard: set[str] = field(default_factory=set)
    """Message-IDs of what was accepted in trouble, which the sender was never told."""
    arrival: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a message has been accepted."""
    options: dict[str, Any] = field(default_factory=dict)
    """Those of aiosmtpd's SMTP."""
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The server as the setting SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen: at a free port the first time, and at the same one from then on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Take no more connections; those that there are go on."""
        if self._server is not None:
            self._server.close()

    def _session(self) -> asyncio.Protocol:
        self.sessions += 1
        if self.trouble is not None and self.trouble.stage is Stage.GREETING:
            self.trouble.reached.set()
            return _Silent(self.trouble)
        return SMTP(self, **self.options)

    async def _get_into_trouble(self, server: SMTP, stage: Stage) -> None:
        trouble = self.trouble
        if trouble is None or trouble.stage is not stage:
            return
        trouble.reached.set()
        if trouble.cuts:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        # Ended by the library once the connection is.
        await asyncio.get_running_loop().create_future()

    def to(self, recipient: str) -> list[Received]:
        """Return what arrived for one recipient."""
        return [mail for mail in self.mailbox if recipient in mail.recipients]

    async def handle_EHLO(  # noqa: N802 - as aiosmtpd calls it
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Answer a greeting."""
        await self._get_into_trouble(server, Stage.HELLO)
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802 - as aiosmtpd calls it
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Answer a sender."""
        await self._get_into_trouble(server, Stage.SENDER)
        if self.refused_sender:
            return self.refused_sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd calls it
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Answer a recipient."""
        await self._get_into_trouble(server, Stage.RECIPIENT)
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Answer a message."""
        await self._get_into_trouble(server, Stage.CONTENT)
        await asyncio.sleep(self.pause)
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        assert envelope.mail_from is not None
        received = Received(envelope.mail_from, list(envelope.rcpt_tos), content)
        self.mailbox.append(received)
        self.arrival.set()
        if self.trouble is not None and self.trouble.stage is Stage.ACCEPTED:
            self.unheard.add(received.message["Message-ID"])
        await self._get_into_trouble(server, Stage.ACCEPTED)
        return "250 OK: kept"


class _Silent(asyncio.Protocol):
    """Says nothing, ever."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._trouble.cuts:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()


@asynccontextmanager
async def mail_sink(
    *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[MailSink]:
    """Run a mail server on a free port, in this event loop; options go to aiosmtpd's SMTP.

    With `tls` it speaks TLS from the start; the option `tls_context` lets it offer STARTTLS.
    """
    settings: dict[str, Any] = {"enable_SMTPUTF8": True, "hostname": "sink.example", **options}
    sink = MailSink(options=settings, tls=tls)
    await sink.open()
    try:
        yield sink
    finally:
        sink.close()


class Fault(Enum):
    """How a mail server may misbehave."""

    NO_GREETING = auto()
    HANGS_BEFORE_DATA = auto()
    HANGS_AFTER_DATA = auto()
    DROPS_IN_DATA = auto()
    DROPS_AFTER_DATA = auto()
    HANGS_AT_QUIT = auto()


@dataclass
class FaultyServer:
    """A mail server that misbehaves, in the way that `fault` says at the moment."""

    fault: Fault
    port: int = 0
    accepted: int = 0
    """Messages that arrived whole."""
    arrival: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a message has arrived whole."""

    @property
    def url(self) -> str:
        """The server as the setting SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault is Fault.NO_GREETING:
            await reader.read()
            return
        writer.write(b"220 faulty.example\r\n")
        while line := await reader.readline():
            command = line[:4].upper().strip()
            if command == b"DATA":
                if not await self._data(reader, writer):
                    return
            elif command == b"QUIT":
                if self.fault is Fault.HANGS_AT_QUIT:
                    await reader.read()
                writer.write(b"221 Bye\r\n")
                return
            else:
                writer.write(b"250 OK\r\n")

    async def _data(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self.fault is Fault.HANGS_BEFORE_DATA:
            await reader.read()
            return False
        writer.write(b"354 Go on\r\n")
        if self.fault is Fault.DROPS_IN_DATA:
            await reader.read(512)
            return False
        while await reader.readline() not in (b".\r\n", b""):
            pass
        self.accepted += 1
        self.arrival.set()
        if self.fault is Fault.DROPS_AFTER_DATA:
            return False
        if self.fault is Fault.HANGS_AFTER_DATA:
            await reader.read()
            return False
        writer.write(b"250 OK\r\n")
        return True


@asynccontextmanager
async def faulty_server(fault: Fault) -> AsyncIterator[FaultyServer]:
    """Run a misbehaving mail server on a free port, in this event loop."""
    faulty = FaultyServer(fault)
    conversations: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        try:
            await faulty._converse(reader, writer)
        except ConnectionError:
            pass
        finally:
            conversations.discard(task)
            writer.transport.abort() if "DROPS" in faulty.fault.name else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    faulty.port = server.sockets[0].getsockname()[1]
    try:
        yield faulty
    finally:
        server.close()
        await _end(conversations)


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
