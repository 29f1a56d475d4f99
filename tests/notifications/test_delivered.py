"""Messages as they arrive, with the PDF."""

import pytest
from sqlalchemy import update

from app.customers.models import Customer
from tests.notifications.conftest import Desk
from tests.notifications.examples import attached_text, body
from tests.support.factories import Row
from tests.support.smtp import MailServer

pytestmark = pytest.mark.usefixtures("pdfs_in_this_process")


async def test_a_delivered_message_is_whole(desk: Desk, sink: MailServer) -> None:
    await desk.send_delivery()

    message = sink.mailbox[0].message
    assert message.defects == []
    number = message["Subject"].split()[1]
    assert message["Subject"] == f"Invoice {number} for Institute of Physics, October 2026"
    assert (message["From"], message["To"]) == ("billing@localhost", "accounts@example.com")
    assert message["Date"].datetime.isoformat() == "2026-11-02T12:00:00+00:00"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/mixed"
    for kind in ("plain", "html"):
        assert "€12.00" in body(message, kind)
        assert "Dec 1, 2026" in body(message, kind)
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == f"invoice-{number}.pdf"
    assert "€12.00" in attached_text(message)


async def test_non_ascii_names_are_delivered(desk: Desk, sink: MailServer, customer: Row) -> None:
    names = {"name": "株式会社 Ørsted 🚀", "email": "søren@bücher.example"}
    await desk.set(recipient=names["email"])
    await desk.connection.execute(
        update(Customer).where(Customer.id == customer.id).values(name=names["name"])
    )
    await desk.send_delivery()
    (received,) = sink.mailbox
    assert received.recipients == ["søren@xn--bcher-kva.example"]
    assert "株式会社 Ørsted 🚀" in received.message["Subject"]
    assert "株式会社 Ørsted □" in attached_text(received.message)


async def test_a_later_attempt_mails_the_invoice_as_it_was_frozen(
    desk: Desk, sink: MailServer, customer: Row
) -> None:
    sink.replies.append("452 4.3.1 No space left")
    assert await desk.send_delivery() is not None
    await desk.connection.execute(
        update(Customer).where(Customer.id == customer.id).values(name="Another")
    )
    await desk.set(next_attempt_at=None, attempts=0)
    await desk.send_delivery()
    (received,) = sink.mailbox
    assert "for Institute of Physics, October 2026" in received.message["Subject"]
