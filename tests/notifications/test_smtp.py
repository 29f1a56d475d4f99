"""The SMTP transport: encryption, passwords, non-ASCII addresses."""

import ssl
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic_core import Url

from app.mailbox import Mailbox
from app.notifications.outgoing import OutgoingMail
from app.notifications.smtp import (
    PermanentDeliveryError,
    TemporaryDeliveryError,
)
from app.notifications.smtp_pool import SmtpPool
from tests.support.smtp import run_mail_server

# Another name of this machine, which does not look like it: the rules for others apply.
ELSEWHERE = "0.0.0.0"


def _message(recipient: str = "ada@example.com") -> EmailMessage:
    message = EmailMessage()
    message["From"] = Mailbox.parse("billing@example.com").for_header
    message["To"] = Mailbox.parse(recipient).for_header
    message.set_content("Hello\n.\n..\n")
    return message


async def _send(url: str, message: EmailMessage | None = None) -> None:
    pool = SmtpPool(Url(url), 2)
    try:
        await pool.send(OutgoingMail(message or _message()))
    finally:
        await pool.aclose()


class Door:
    """Lets in who knows the password, and remembers what was tried."""

    def __init__(self) -> None:
        self.tried: list[tuple[bytes, bytes]] = []
        self.encrypted: list[bool] = []

    def __call__(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        """Check a login."""
        assert isinstance(data, LoginPassword)
        self.tried.append((data.login, data.password))
        self.encrypted.append(session.ssl is not None)
        return AuthResult(success=data.password == b"p@ss:word/1", handled=False)


async def test_starttls_is_used_where_offered(certificate: ssl.SSLContext) -> None:
    door = Door()
    async with run_mail_server(tls_context=certificate, authenticator=door) as sink:
        await _send(f"smtp://us%40er:p%40ss%3Aword%2F1@127.0.0.1:{sink.port}")
    assert len(sink.mailbox) == 1
    assert door.tried == [(b"us@er", b"p@ss:word/1")]
    assert door.encrypted == [True]


async def test_smtps_is_encrypted_from_the_start(certificate: ssl.SSLContext) -> None:
    async with run_mail_server(tls=certificate) as sink:
        await _send(f"smtps://localhost:{sink.port}")
    assert len(sink.mailbox) == 1


async def test_the_certificate_of_a_remote_server_is_verified(certificate: ssl.SSLContext) -> None:
    async with run_mail_server(tls_context=certificate) as sink:
        with pytest.raises(TemporaryDeliveryError, match="certificate verify failed"):
            await _send(f"smtp://{ELSEWHERE}:{sink.port}")
    assert sink.mailbox == []


async def test_a_password_is_not_sent_unencrypted_to_a_remote_server() -> None:
    door = Door()
    async with run_mail_server(authenticator=door, auth_require_tls=False) as sink:
        with pytest.raises(TemporaryDeliveryError, match="offers no encryption"):
            await _send(f"smtp://user:secret@{ELSEWHERE}:{sink.port}")
    assert door.tried == []
    assert sink.mailbox == []


async def test_a_password_may_be_sent_unencrypted_to_localhost() -> None:
    async with run_mail_server(authenticator=Door(), auth_require_tls=False) as sink:
        await _send(f"smtp://user:p%40ss%3Aword%2F1@127.0.0.1:{sink.port}")
    assert len(sink.mailbox) == 1


async def test_a_wrong_password_is_a_temporary_failure_and_is_not_logged() -> None:
    async with run_mail_server(authenticator=Door(), auth_require_tls=False) as sink:
        with pytest.raises(TemporaryDeliveryError, match="535") as refused:
            await _send(f"smtp://user:secret@127.0.0.1:{sink.port}")
    assert "secret" not in str(refused.value)
    assert sink.mailbox == []


async def test_a_server_without_login_is_a_temporary_failure() -> None:
    async with run_mail_server() as sink:
        with pytest.raises(TemporaryDeliveryError, match="AUTH extension is not supported"):
            await _send(f"smtp://user:secret@127.0.0.1:{sink.port}")


async def test_a_server_without_smtputf8_is_a_permanent_failure() -> None:
    async with run_mail_server(enable_SMTPUTF8=False) as sink:
        with pytest.raises(PermanentDeliveryError, match="SMTPUTF8"):
            await _send(sink.url, _message("søren@example.com"))
        # A domain in another script is no trouble: it has a form in ASCII.
        await _send(sink.url, _message("soren@bücher.example"))
    assert sink.mailbox[0].recipients == ["soren@xn--bcher-kva.example"]


async def test_a_message_too_large_for_the_server_is_a_permanent_failure() -> None:
    message = _message()
    message.add_attachment(b"x" * 5000, maintype="text", subtype="html", filename="x.html")
    async with run_mail_server(data_size_limit=3000) as sink:
        with pytest.raises(PermanentDeliveryError, match="552"):
            await _send(sink.url, message)


async def test_a_refused_sender_is_a_temporary_failure() -> None:
    async with run_mail_server() as sink:
        sink.refused_sender = "553 5.7.1 Sender not allowed"
        with pytest.raises(TemporaryDeliveryError, match="Sender not allowed"):
            await _send(sink.url)


async def test_lines_of_dots_arrive_unchanged() -> None:
    async with run_mail_server() as sink:
        await _send(sink.url)
    assert sink.mailbox[0].message.get_content().splitlines() == ["Hello", ".", ".."]
