"""Handing one message to a mail server.

The connection is encrypted where the server can: from the start with `smtps://`, by STARTTLS with
`smtp://`. Certificates are verified, but on the machine itself (localhost), whose certificates name
something else. A password is never sent in the clear, but on the machine itself.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.policy import SMTPUTF8 as SMTPUTF8_POLICY
from ipaddress import ip_address
from urllib.parse import unquote

import aiosmtplib
from aiosmtplib import SMTP
from pydantic_core import Url

from app.logging import describe_error
from app.notifications.errors import PermanentDeliveryError, TemporaryDeliveryError

QUIT_TIMEOUT = 2
"""Seconds in which the server may answer the QUIT; the message is its own by then."""
_UPLOAD_RATE = 50_000
"""Bytes a second that a connection carries at least: a long message is given longer."""
_TOO_LARGE = 552
_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")
"""The status code of RFC 3463 that an answer may begin with."""


class SmtpTransport:
    """An open connection to a mail server."""

    def __init__(self, client: SMTP, patience: float) -> None:
        self._client = client
        self._patience = patience

    @property
    def encrypted(self) -> bool:
        """Whether the connection is encrypted."""
        return self._client.get_transport_info("sslcontext") is not None

    @property
    def here(self) -> bool:
        """Whether the server is on this machine."""
        return _is_this_machine(self._client.hostname or "localhost")

    async def send(self, message: EmailMessage) -> None:
        """Return once the server has accepted the message for its one recipient.

        Raises PermanentFailure where the server refuses this recipient or this message for good,
        and TemporaryFailure for all else, an answer that never came included.
        """
        sender: str = message["From"].addresses[0].addr_spec
        recipient: str = message["To"].addresses[0].addr_spec
        with _told_as_failures():
            utf8 = not (sender + recipient).isascii()
            options = self._options(utf8=utf8)
            content = message.as_bytes(policy=SMTPUTF8_POLICY if utf8 else SMTP_POLICY)
            if self._client.supports_extension("size"):
                options.append(f"SIZE={len(content)}")
            encoding = "utf-8" if utf8 else "ascii"
            await self._client.mail(sender, options=options, encoding=encoding)
            await self._client.rcpt(recipient, encoding=encoding)
            await self._client.data(content, timeout=self._patience + len(content) / _UPLOAD_RATE)

    def _options(self, *, utf8: bool) -> list[str]:
        if not utf8:
            return []
        if not self._client.supports_extension("smtputf8"):
            raise PermanentDeliveryError(
                "The mail server does not take addresses with other than ASCII letters (SMTPUTF8)."
            )
        return ["SMTPUTF8", "BODY=8BITMIME"]


@asynccontextmanager
async def open_connection(url: Url, patience: float) -> AsyncIterator[SmtpTransport]:
    """Connect to the mail server of a URL; `patience` is seconds for each exchange with it.

    Raises TemporaryFailure where there is no way in: a wrong password is an operator's to mend.
    """
    host = (url.host or "localhost").strip("[]")
    client = SMTP(
        hostname=host,
        port=url.port,
        timeout=patience,
        use_tls=url.scheme == "smtps",
        validate_certs=not _is_this_machine(host),
    )
    with _told_as_failures():
        await client.connect()
    try:
        if url.username:
            with _told_as_failures():
                await _login(client, host, url)
        yield SmtpTransport(client, patience)
    except (PermanentDeliveryError, TemporaryDeliveryError):
        await _leave(client)
        raise
    except BaseException:
        client.close()
        raise
    else:
        await _leave(client)


async def _login(client: SMTP, host: str, url: Url) -> None:
    if client.get_transport_info("sslcontext") is None and not _is_this_machine(host):
        raise TemporaryDeliveryError(
            "The mail server offers no encryption, so the password was not sent to it."
        )
    try:
        await client.login(unquote(url.username or ""), unquote(url.password or ""))
    except UnicodeError as error:
        raise TemporaryDeliveryError("The mail server takes only ASCII in passwords.") from error


async def _leave(client: SMTP) -> None:
    if client.is_connected:
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await asyncio.wait_for(client.quit(timeout=QUIT_TIMEOUT), QUIT_TIMEOUT)
    client.close()


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _told_as_failures() -> Iterator[None]:
    """Tell what a mail server did as one of the two failures."""
    try:
        yield
    except aiosmtplib.SMTPRecipientRefused as error:
        raise _answered(error, permanent=error.code >= 500) from error
    except aiosmtplib.SMTPDataError as error:
        raise _answered(error, permanent=error.code >= 500) from error
    except aiosmtplib.SMTPResponseException as error:
        # Whatever else the server refuses, our sender or our login, an operator can mend.
        raise _answered(error, permanent=error.code == _TOO_LARGE) from error
    except (OSError, TimeoutError) as error:
        raise _unheard("No answer from the mail server", error) from error
    except aiosmtplib.SMTPException as error:
        raise _unheard("The mail server cannot be used", error) from error


def _unheard(what: str, error: Exception) -> TemporaryDeliveryError:
    return TemporaryDeliveryError(f"{what}: {_reason(error)}.", f"{what}: {describe_error(error)}.")


def _reason(error: Exception) -> str:
    # The library's own errors are told by their message alone; some end in a full stop.
    return str(getattr(error, "message", error) or type(error).__name__).rstrip(".")


def _answered(
    error: aiosmtplib.SMTPResponseException, *, permanent: bool
) -> TemporaryDeliveryError | PermanentDeliveryError:
    kind = PermanentDeliveryError if permanent else TemporaryDeliveryError
    answer = " ".join(str(error.message).encode("utf-8", "replace").decode().split())
    told = f"The mail server answered {error.code}"
    enhanced = _ENHANCED.match(answer)
    return kind(f"{told} {answer}", f"{told} {enhanced[0]}" if enhanced else told)
