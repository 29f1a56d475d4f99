"""Sends messages to a mail server over SMTP.

The connection is encrypted: from the start with `smtps://`, by STARTTLS with `smtp://` if the
server offers it. Certificates are verified and passwords are never sent unencrypted, except to this
machine (localhost), whose certificates have other names.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from urllib.parse import unquote

import aiosmtplib
from aiosmtplib import SMTP
from pydantic_core import Url

from app.logging import describe_error
from app.notifications.outgoing import OutgoingMail

QUIT_TIMEOUT = 2
"""Seconds to wait for the reply to QUIT; the message has been accepted by then."""
_UPLOAD_RATE = 50_000
"""The least bytes per second that a connection carries; extends the timeout of DATA."""
_TOO_LARGE = 552
_LINE_END = re.compile(rb"\r\n|\r|\n")
_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")
"""The enhanced status code of RFC 3463 at the start of a reply."""


class DeliveryError(Exception):
    """A failed attempt, with its message and the part of the message that may be logged.

    Mail servers often repeat the recipient's address in their replies; addresses are not logged.
    """

    def __init__(self, message: str, logged: str | None = None) -> None:
        super().__init__(message)
        self.logged = message if logged is None else logged


class TemporaryDeliveryError(DeliveryError):
    """The attempt failed, or its outcome is unknown; a later attempt may succeed."""


class PermanentDeliveryError(DeliveryError):
    """No later attempt can succeed."""


class SmtpTransport:
    """An open connection to a mail server. A message is started and then transferred.

    Both steps raise PermanentDeliveryError if the server permanently refuses this recipient or this
    message, and TemporaryDeliveryError for any other failure, such as a missing reply.
    """

    def __init__(self, client: SMTP, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._content = b""
        self.messages = 0
        """The messages that the server has accepted on this connection."""

    @property
    def is_open(self) -> bool:
        """Whether neither side is known to have closed the connection."""
        return self._client.is_connected

    @property
    def encrypted(self) -> bool:
        """Whether the connection is encrypted."""
        return self._client.get_transport_info("sslcontext") is not None

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return _is_local(self._client.hostname or "localhost")

    async def start(self, mail: OutgoingMail) -> None:
        """Announce a message by MAIL. Nothing of the message is transferred yet."""
        with _as_delivery_errors():
            utf8 = not (mail.sender + mail.recipient).isascii()
            options = self._options(utf8=utf8)
            self._content = mail.as_bytes(utf8=utf8)
            if self._client.supports_extension("size"):
                options.append(f"SIZE={len(self._content)}")
            encoding = "utf-8" if utf8 else "ascii"
            await self._client.mail(mail.sender, options=options, encoding=encoding)

    async def transfer(self, mail: OutgoingMail) -> None:
        """Return once the server has accepted the started message for its one recipient."""
        with _as_delivery_errors():
            content, self._content = self._content, b""
            encoding = "ascii" if mail.recipient.isascii() else "utf-8"
            await self._client.rcpt(mail.recipient, encoding=encoding)
            await self._send_content(content)
            self.messages += 1

    async def _send_content(self, content: bytes) -> None:
        """Send the content of a message by DATA.

        The method of aiosmtplib converts line ends and doubles dots by regular expressions, which
        takes a millisecond for a PDF: a fifth of the time of a mail.
        """
        reply = await self._client.execute_command(b"DATA")
        if reply.code != aiosmtplib.SMTPStatus.start_input:
            raise aiosmtplib.SMTPDataError(reply.code, reply.message)
        protocol = self._client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        try:
            protocol.write(quote_dots(content) + b".\r\n")
            reply = await protocol.read_response(self._timeout + len(content) / _UPLOAD_RATE)
        except aiosmtplib.SMTPException:
            self.abort()  # a late reply must not be taken for that of another command
            raise
        if reply.code != aiosmtplib.SMTPStatus.completed:
            raise aiosmtplib.SMTPDataError(reply.code, reply.message)

    async def quit(self) -> None:
        """End the connection by QUIT, whose reply may take `QUIT_TIMEOUT` seconds."""
        if self._client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await asyncio.wait_for(self._client.quit(timeout=QUIT_TIMEOUT), QUIT_TIMEOUT)
        self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._client.close()

    def _options(self, *, utf8: bool) -> list[str]:
        if not utf8:
            return []
        if not self._client.supports_extension("smtputf8"):
            raise PermanentDeliveryError(
                "The mail server does not accept non-ASCII addresses (SMTPUTF8)."
            )
        return ["SMTPUTF8", "BODY=8BITMIME"]


async def connect(url: Url, seconds: float) -> SmtpTransport:
    """Connect to the mail server of a URL; each exchange with it may take so many `seconds`.

    Raises TemporaryDeliveryError if connection or login fails: an operator can fix the settings.
    """
    host = (url.host or "localhost").strip("[]")
    client = SMTP(
        hostname=host,
        port=url.port,
        timeout=seconds,
        use_tls=url.scheme == "smtps",
        validate_certs=not _is_local(host),
    )
    with _as_delivery_errors():
        await client.connect()
    transport = SmtpTransport(client, seconds)
    try:
        if url.username:
            with _as_delivery_errors():
                await _login(client, host, url)
    except DeliveryError:
        await transport.quit()
        raise
    except BaseException:
        transport.abort()
        raise
    return transport


async def _login(client: SMTP, host: str, url: Url) -> None:
    if client.get_transport_info("sslcontext") is None and not _is_local(host):
        raise TemporaryDeliveryError(
            "The mail server offers no encryption, so the password was not sent."
        )
    try:
        await client.login(unquote(url.username or ""), unquote(url.password or ""))
    except UnicodeError as error:
        raise TemporaryDeliveryError("The mail server accepts only ASCII passwords.") from error


def quote_dots(content: bytes) -> bytes:
    """Return the content with CRLF at the end of each line, and dots at the start doubled."""
    if not content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r"):
        content = _LINE_END.sub(b"\r\n", content)
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    quoted = content.replace(b"\r\n.", b"\r\n..")
    return b"." + quoted if quoted.startswith(b".") else quoted


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _as_delivery_errors() -> Iterator[None]:
    """Convert the errors of aiosmtplib and the network to delivery errors."""
    try:
        yield
    except aiosmtplib.SMTPRecipientRefused as error:
        raise _reply_error(error, permanent=error.code >= 500) from error
    except aiosmtplib.SMTPDataError as error:
        raise _reply_error(error, permanent=error.code >= 500) from error
    except aiosmtplib.SMTPResponseException as error:
        # An operator can fix any other refusal, for example of the sender or the login.
        raise _reply_error(error, permanent=error.code == _TOO_LARGE) from error
    except (OSError, TimeoutError) as error:
        raise _connection_error("No answer from the mail server", error) from error
    except aiosmtplib.SMTPException as error:
        raise _connection_error("The mail server cannot be used", error) from error


def _connection_error(problem: str, error: Exception) -> TemporaryDeliveryError:
    message, logged = f"{problem}: {_reason(error)}.", f"{problem}: {describe_error(error)}."
    return TemporaryDeliveryError(message, logged)


def _reason(error: Exception) -> str:
    # Errors of aiosmtplib have a `message`; some messages end in a full stop.
    return str(getattr(error, "message", error) or type(error).__name__).rstrip(".")


def _reply_error(
    error: aiosmtplib.SMTPResponseException, *, permanent: bool
) -> TemporaryDeliveryError | PermanentDeliveryError:
    error_type = PermanentDeliveryError if permanent else TemporaryDeliveryError
    reply = " ".join(str(error.message).encode("utf-8", "replace").decode().split())
    prefix = f"The mail server answered {error.code}"
    enhanced = _ENHANCED.match(reply)
    return error_type(f"{prefix} {reply}", f"{prefix} {enhanced[0]}" if enhanced else prefix)
