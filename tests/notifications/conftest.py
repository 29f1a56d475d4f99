"""A scheduled delivery and a mail server to send it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import Url
from sqlalchemy import Row as ResultRow
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import DeliveryState, InvoiceState
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.documents.document import parse_document, parse_lines
from app.documents.pdf.maker import PdfMaker
from app.documents.pdf.rendering import make_pdf_with_e_invoice
from app.notifications.sending import Sender
from app.settings import Settings
from tests.support.certificates import make_certificate
from tests.support.deliveries import schedule_invoice
from tests.support.factories import Factories, Row
from tests.support.smtp import MailServer, run_mail_server

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def pdfs_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make PDFs by the same function without a process of its own, whose start takes a second.

    One after the other: the compiler of a process serves one thread at a time.
    """
    lock = asyncio.Lock()

    async def make(maker: PdfMaker, document: bytes, batches: Sequence[bytes]) -> bytes:
        lines = [line for batch in batches for line in parse_lines(batch)]
        async with lock:
            return await asyncio.to_thread(make_pdf_with_e_invoice, parse_document(document), lines)

    monkeypatch.setattr(PdfMaker, "make", make)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's side of TLS, with a self-signed certificate."""
    key, signed = make_certificate(tmp_path_factory.mktemp("certificate"))
    return _context(key, signed)


def _context(key: Path, certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture(autouse=True)
def _standing_clock() -> None:
    clock.freeze(NOW)


@pytest.fixture
async def sink() -> AsyncIterator[MailServer]:
    """A mail server that takes everything."""
    async with run_mail_server() as sink:
        yield sink


@pytest.fixture
def to_sink(settings: Settings, sink: MailServer) -> Settings:
    """Settings of a service that sends to the mail server `sink`."""
    return sending_to(settings, sink.url)


def sending_to(settings: Settings, url: str) -> Settings:
    """Return settings with that mail server and a patience of one second."""
    return settings.model_copy(update={"smtp_url": Url(url), "smtp_timeout": 1})


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer(name="Institute of Physics", email="accounts@example.com")


@pytest.fixture
async def invoice(make: Factories, customer: Row) -> Row:
    """An issued invoice with one item of 10.00, and 20 % of tax."""
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    await make.item(invoice, "10")
    return invoice


@pytest.fixture
async def delivery(connection: AsyncConnection, invoice: Row, settings: Settings) -> UUID:
    """A delivery of the invoice to the customer's own address, due now."""
    (uuid,) = await schedule_invoice(connection, settings, invoice)
    return uuid


@dataclass(frozen=True)
class Desk:
    """Where the tests deliver, and see what became of it; by default of the one delivery."""

    database: Database
    connection: AsyncConnection
    settings: Settings
    delivery: UUID

    async def send_delivery(
        self, *, server: str = "", delivery: UUID | None = None
    ) -> timedelta | None:
        """Deliver as the worker does, perhaps over another mail server."""
        settings = sending_to(self.settings, server) if server else self.settings
        async with Sender(self.database, settings) as sender:
            return await sender.send_delivery(delivery or self.delivery)

    async def row(self, delivery: UUID | None = None) -> ResultRow[Any]:
        """Return the row of a delivery."""
        statement = select(Delivery.__table__).where(Delivery.uuid == (delivery or self.delivery))
        return (await self.connection.execute(statement)).one()

    async def state(self) -> str:
        """Return the state of the delivery."""
        state: str = (await self.row()).state
        return state

    async def set(self, **values: Any) -> None:
        """Change the delivery behind the service's back."""
        await self.connection.execute(
            update(Delivery).where(Delivery.uuid == self.delivery).values(values)
        )

    async def reaches(self, state: DeliveryState, within: float = 60) -> None:
        """Wait until the delivery is in a state."""
        async with asyncio.timeout(within):
            while await self.state() != state:  # noqa: ASYNC110 - another process could set it
                await asyncio.sleep(0.01)


@pytest.fixture
def desk(
    database: Database, connection: AsyncConnection, to_sink: Settings, delivery: UUID
) -> Desk:
    """A service that sends to `sink`, with a delivery that is due."""
    return Desk(database, connection, to_sink, delivery)


def later(by: timedelta) -> None:
    """Set the clock forward."""
    clock.freeze(clock.now() + by)
