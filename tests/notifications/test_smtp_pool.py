"""Connections to the mail server that are kept: each message is sent once, whatever ends them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from time import monotonic
from typing import Any

import pytest
from pydantic_core import Url

from app.mailbox import Mailbox
from app.notifications import smtp_pool
from app.notifications.outgoing import OutgoingMail
from app.notifications.smtp import PermanentDeliveryError, TemporaryDeliveryError
from app.notifications.smtp_pool import SmtpPool
from tests.notifications.test_smtp import Door
from tests.support.smtp import Fault, MailServer, Stage, run_mail_server


@pytest.fixture
async def sink() -> AsyncIterator[MailServer]:
    async with run_mail_server() as sink:
        yield sink


@pytest.fixture
async def pool(sink: MailServer) -> AsyncIterator[SmtpPool]:
    pool = SmtpPool(Url(sink.url), 1)
    yield pool
    await pool.aclose()


def mail(number: int = 1, recipient: str = "ada@example.com") -> OutgoingMail:
    message = EmailMessage()
    message["From"] = Mailbox.parse("billing@example.com").for_header
    message["To"] = Mailbox.parse(recipient).for_header
    message["Subject"] = str(number)
    message.set_content("Hello\n")
    return OutgoingMail(message)


def subjects(sink: MailServer) -> list[str]:
    return sorted(each.message["Subject"] for each in sink.mailbox)


async def ended(sink: MailServer) -> None:
    """Wait until no connection is open."""
    async with asyncio.timeout(60):
        while sink.open_sessions:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def test_messages_one_after_the_other_share_a_connection(
    pool: SmtpPool, sink: MailServer
) -> None:
    for number in range(5):
        await pool.send(mail(number))
    assert subjects(sink) == list("01234")
    assert sink.sessions == 1


async def test_messages_at_once_have_a_connection_each_and_share_it_with_later_ones(
    pool: SmtpPool, sink: MailServer
) -> None:
    sink.delay = 0.1
    for _ in range(3):
        await asyncio.gather(*(pool.send(mail(number)) for number in range(4)))
    assert len(sink.mailbox) == 12
    assert (sink.sessions, sink.most_sessions) == (4, 4)


async def test_an_idle_connection_that_the_server_closed_is_replaced(
    pool: SmtpPool, sink: MailServer
) -> None:
    await pool.send(mail(1))
    sink.cut_idle()
    await ended(sink)
    await pool.send(mail(2))
    assert subjects(sink) == ["1", "2"]
    assert sink.sessions == 2


async def test_a_close_that_is_not_yet_seen_costs_no_message(
    pool: SmtpPool, sink: MailServer
) -> None:
    """The server is in this event loop, so the client sees the close only when it has written."""
    await pool.send(mail(1))
    sink.cut_idle()
    await pool.send(mail(2))
    assert subjects(sink) == ["1", "2"]
    assert sink.sessions == 2


async def test_a_server_that_limits_messages_gets_the_next_on_a_new_connection(
    pool: SmtpPool, sink: MailServer
) -> None:
    sink.most_messages = 2
    for number in range(5):
        await pool.send(mail(number))
    assert subjects(sink) == list("01234")
    assert sink.sessions == 3


async def test_a_kept_connection_that_hangs_is_replaced(pool: SmtpPool, sink: MailServer) -> None:
    await pool.send(mail(1))
    sink.fault = Fault(Stage.SENDER)
    sending = asyncio.create_task(pool.send(mail(2)))
    await asyncio.wait_for(sink.fault.reached.wait(), 60)
    sink.fault = None
    await sending
    assert subjects(sink) == ["1", "2"]
    assert sink.sessions == 2


@pytest.mark.parametrize("stage", [Stage.RECIPIENT, Stage.DATA, Stage.TRANSFER, Stage.ACCEPTED])
async def test_a_message_that_is_lost_on_a_kept_connection_is_not_sent_again(
    pool: SmtpPool, sink: MailServer, stage: Stage
) -> None:
    """Its acceptance may be unknown; the delivery has a later attempt."""
    await pool.send(mail(1))
    sink.fault = Fault(stage, cuts=True)
    with pytest.raises(TemporaryDeliveryError):
        await pool.send(mail(2))
    assert sink.sessions == 1
    assert subjects(sink) == (["1", "2"] if stage is Stage.ACCEPTED else ["1"])


async def test_a_server_that_is_gone_fails_the_message(pool: SmtpPool, sink: MailServer) -> None:
    await pool.send(mail(1))
    sink.close()
    with pytest.raises(TemporaryDeliveryError, match="Error connecting"):
        await pool.send(mail(2))
    await sink.open()
    await pool.send(mail(3))
    assert subjects(sink) == ["1", "3"]


async def test_a_connection_is_not_kept_after_a_refusal(pool: SmtpPool, sink: MailServer) -> None:
    sink.refused["gone@example.com"] = "550 5.1.1 No such user"
    await pool.send(mail(1))
    with pytest.raises(PermanentDeliveryError, match="No such user"):
        await pool.send(mail(2, "gone@example.com"))
    await pool.send(mail(3))
    assert subjects(sink) == ["1", "3"]
    assert (sink.sessions, sink.farewells) == (2, 1)


async def test_a_cancelled_message_ends_its_connection(pool: SmtpPool, sink: MailServer) -> None:
    await pool.send(mail(1))
    sink.fault = Fault(Stage.DATA)
    sending = asyncio.create_task(pool.send(mail(2)))
    await asyncio.wait_for(sink.fault.reached.wait(), 60)
    sending.cancel()
    await asyncio.wait([sending])
    sink.fault = None
    await ended(sink)
    await pool.send(mail(3))
    assert subjects(sink) == ["1", "3"]


async def test_an_idle_connection_is_closed_with_quit(
    pool: SmtpPool, sink: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_pool, "IDLE_LIMIT", 0.05)
    await pool.send(mail(1))
    await ended(sink)
    assert sink.farewells == 1
    await pool.send(mail(2))
    assert subjects(sink) == ["1", "2"]


async def test_a_connection_has_a_limit_of_messages(
    pool: SmtpPool, sink: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_pool, "MESSAGE_LIMIT", 2)
    for number in range(5):
        await pool.send(mail(number))
    await pool.aclose()
    assert subjects(sink) == list("01234")
    assert (sink.sessions, sink.farewells) == (3, 3)


async def test_closing_the_pool_ends_its_connections_with_quit(
    pool: SmtpPool, sink: MailServer
) -> None:
    sink.delay = 0.05
    await asyncio.gather(*(pool.send(mail(number)) for number in range(3)))
    await pool.aclose()
    await ended(sink)
    assert (sink.sessions, sink.farewells) == (3, 3)


async def test_closing_the_pool_does_not_wait_for_a_server_that_hangs(
    pool: SmtpPool, sink: MailServer
) -> None:
    sink.delay = 0.05
    await asyncio.gather(*(pool.send(mail(number)) for number in range(3)))
    sink.fault = Fault(Stage.QUIT)
    started = monotonic()
    await pool.aclose()
    assert monotonic() - started < 4


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_kept_connection_is_encrypted_and_logged_in_once(
    certificate: ssl.SSLContext, scheme: str
) -> None:
    door = Door()
    options: dict[str, Any] = (
        {"tls": certificate} if scheme == "smtps" else {"tls_context": certificate}
    )
    async with run_mail_server(
        authenticator=door, auth_require_tls=scheme == "smtp", **options
    ) as sink:
        pool = SmtpPool(Url(f"{scheme}://user:p%40ss%3Aword%2F1@127.0.0.1:{sink.port}"), 2)
        for number in range(3):
            await pool.send(mail(number))
        await pool.aclose()
    assert subjects(sink) == list("012")
    assert (sink.sessions, sink.farewells) == (1, 1)
    assert door.tried == [(b"user", b"p@ss:word/1")]
