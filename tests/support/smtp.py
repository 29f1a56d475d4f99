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


@dataclass
class MailSink:
    """A mail server that keeps what it accepts in `mailbox`.

    `refused` maps a recipient to the answer it gets, as `550 No such user`, and `refused_sender` is
    the answer that every sender gets; `answers` are given to
    the next messages instead of accepting them; `pause` is awaited before a message is accepted.
    """

    port: int = 0
    mailbox: list[Received] = field(default_factory=list)
    refused_sender: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    pause: float = 0
    sessions: int = 0
    arrival: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a message has been accepted."""

    @property
    def url(self) -> str:
        """The server as the setting SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, recipient: str) -> list[Received]:
        """Return what arrived for one recipient."""
        return [mail for mail in self.mailbox if recipient in mail.recipients]

    async def handle_MAIL(  # noqa: N802 - as aiosmtpd calls it
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Answer a sender."""
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
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Answer a message."""
        await asyncio.sleep(self.pause)
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        assert envelope.mail_from is not None
        self.mailbox.append(Received(envelope.mail_from, list(envelope.rcpt_tos), content))
        self.arrival.set()
        return "250 OK: kept"


@asynccontextmanager
async def mail_sink(
    *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[MailSink]:
    """Run a mail server on a free port, in this event loop; options go to aiosmtpd's SMTP.

    With `tls` it speaks TLS from the start; the option `tls_context` lets it offer STARTTLS.
    """
    sink = MailSink()
    settings: dict[str, Any] = {"enable_SMTPUTF8": True, "hostname": "sink.example", **options}

    def session() -> SMTP:
        sink.sessions += 1
        return SMTP(sink, **settings)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0, ssl=tls)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()


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
