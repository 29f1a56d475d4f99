"""The files of a mail: the PDF with its e-invoice, and the UBL of a profile."""

from dataclasses import replace
from email.message import EmailMessage
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from pypdf import PdfReader
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app.documents.pdf.errors import PdfTimeout
from app.documents.pdf.maker import PdfMaker
from app.documents.profiles import FACTUR_X, PEPPOL
from app.notifications import attachments
from app.notifications.attachments import Attachment
from app.settings import Settings
from tests.notifications.conftest import Desk
from tests.notifications.examples import body
from tests.support.deliveries import schedule_invoice
from tests.support.einvoice_rules import judge
from tests.support.factories import Factories, Row
from tests.support.issued import COMPLETE, issue_invoice, issuing
from tests.support.smtp import MailServer


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return issuing(settings)


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer(**COMPLETE | {"language": "de"})


@pytest.fixture
async def invoice(make: Factories, settings: Settings, customer: Row) -> Row:
    return await issue_invoice(make, settings, "10", customer=customer, number=100001)


@pytest.fixture
async def delivery(connection: AsyncConnection, invoice: Row, settings: Settings) -> UUID:
    (uuid,) = await schedule_invoice(connection, settings, invoice)
    return uuid


async def send(desk: Desk, sink: MailServer, profile: str | None = None) -> EmailMessage:
    settings = desk.settings.model_copy(update={"notification_ubl_profile": profile})
    assert await replace(desk, settings=settings).send_delivery() is None
    (received,) = sink.mailbox
    return received.message


def files(message: EmailMessage) -> dict[str, Any]:
    return {part.get_filename() or "": part.get_content() for part in message.iter_attachments()}


async def test_the_pdf_is_in_the_language_of_the_customer_with_the_e_invoice_inside(
    desk: Desk, sink: MailServer
) -> None:
    found = files(await send(desk, sink))
    assert list(found) == ["invoice-100001.pdf"]
    reader = PdfReader(BytesIO(found["invoice-100001.pdf"]))
    assert "Rechnung 100001" in reader.pages[0].extract_text()
    (xml,) = reader.attachments["factur-x.xml"]
    assert not judge(xml, FACTUR_X).fatal


async def test_a_setting_adds_the_ubl(desk: Desk, sink: MailServer) -> None:
    found = files(await send(desk, sink, "peppol"))
    assert list(found) == ["invoice-100001.pdf", "invoice-100001-peppol.xml"]
    xml = found["invoice-100001-peppol.xml"]
    assert not judge(xml if isinstance(xml, bytes) else xml.encode(), PEPPOL).fatal


class TestWithoutCountry:
    """A customer for whom no profile can be written."""

    @pytest.fixture
    async def customer(self, make: Factories) -> Row:
        return await make.customer(email="accounts@example.com", country="")

    async def test_a_file_that_lacks_data_stops_no_mail(self, desk: Desk, sink: MailServer) -> None:
        with capture_logs() as logs:
            found = files(await send(desk, sink, "xrechnung"))
        assert list(found) == ["invoice-100001.pdf"]
        (reason,) = [each["reason"] for each in logs if each["event"] == "document not attached"]
        assert reason.startswith("Invoice 100001 cannot be written as xrechnung:")


async def test_a_pdf_that_cannot_be_made_stops_no_mail(
    desk: Desk, sink: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def time_out(*_arguments: object) -> bytes:
        raise PdfTimeout("The PDF took more than 60 seconds.")

    monkeypatch.setattr(PdfMaker, "make", time_out)
    with capture_logs() as logs:
        message = await send(desk, sink)
    assert files(message) == {}
    assert "Anhang" not in body(message, "plain") + body(message, "html")
    assert "12,00\xa0€" in body(message, "plain")
    assert "The PDF took more than 60 seconds." in str(logs)


def test_files_that_are_too_large_for_mail_servers_are_left_out() -> None:
    large = Attachment("a.pdf", attachments.MAX_BYTES - 1, b"")
    other = Attachment("a.xml", 2, b"")
    with capture_logs() as logs:
        assert attachments.that_fit([large, other]) == [large]
    assert [each["name"] for each in logs] == ["a.xml"]
