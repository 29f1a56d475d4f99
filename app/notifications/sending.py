"""Sends one delivery. The job may run twice or concurrently and may be killed at any point.

A delivery is claimed, sent, and marked as sent. The claim is a lease that outlasts the longest
attempt, so that no two workers send the same delivery. One gap remains, between the acceptance by
the mail server and our record of it: if the connection or the worker dies in between, the delivery
is sent again with the same Message-ID.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from itertools import chain, repeat
from typing import Self
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app.credit_notes.queries import documents as credit_notes
from app.database.coalescer import Coalescer
from app.database.engine import Database
from app.deliveries.repository import DeliveryClaim, DeliveryRepository
from app.documents.pdf.maker import TIME_LIMIT
from app.domain_errors import TemporarilyUnavailable
from app.invoices.actions.freeze import find_or_freeze
from app.invoices.queries.documents import IssuedDocument, NotifiableInvoice, read_notifiable
from app.invoices.states import notifiable_states
from app.logging import get_logger
from app.mailbox import InvalidAddress
from app.metrics.deliveries import DeliveryOutcome, count_delivery_attempt
from app.notifications.attachments import AttachmentMaker
from app.notifications.file_transport import write_message
from app.notifications.outgoing import OutgoingMail
from app.notifications.rendering import compose_message
from app.notifications.smtp import (
    DeliveryError,
    PermanentDeliveryError,
    TemporaryDeliveryError,
)
from app.notifications.smtp_pool import SmtpPool
from app.settings import Settings

_logger = get_logger(__name__)

RETRY_DELAYS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
)
"""The delay after each failed attempt. After one more attempt the delivery has failed."""
MAX_ATTEMPTS = len(RETRY_DELAYS) + 1

_LEASE_MARGIN = timedelta(minutes=1)
"""The part of a lease that remains after the longest attempt, to store the outcome."""
_RECORD_RETRY_DELAYS = (0.5, 1, 2, 4, 8)
"""Seconds between tries to record an acceptance during an outage; the last one repeats."""


def longest_attempt(settings: Settings) -> timedelta:
    """Return the time limit of one attempt.

    The job that calls `send_delivery` needs a time limit of at least a minute more.
    """
    return timedelta(seconds=60 + TIME_LIMIT + 4 * settings.smtp_timeout)


class Sender:
    """Sends mail: the deliveries of a process, and messages of its other jobs.

    Mails share connections to the mail server, and those that are sent at the same time share
    statements and files. An asynchronous context manager, which ends the connections.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self._lease = longest_attempt(settings) + _LEASE_MARGIN
        self._deliveries = DeliveryRepository(database, self._lease)
        self._invoices = Coalescer(self._read_invoices)
        self._attachments = AttachmentMaker(database, settings)
        url = settings.smtp_url
        self._pool = None if url is None else SmtpPool(url, settings.smtp_timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the connections to the mail server."""
        await self._attachments.aclose()
        if self._pool is not None:
            await self._pool.aclose()

    async def send_delivery(self, delivery_uuid: UUID) -> timedelta | None:
        """Send a delivery that is due; return the delay until the next attempt, None without one.

        A delivery that another worker is sending is not touched before the end of its lease.
        """
        deliveries = self._deliveries
        lease_ends = asyncio.get_running_loop().time() + self._lease.total_seconds()
        claim = await deliveries.claim(delivery_uuid)
        if claim is None:
            return await deliveries.time_until_due(delivery_uuid)
        if claim.attempt > MAX_ATTEMPTS:
            # Only claims without an outcome lead here, as of a worker that the job kills.
            error = PermanentDeliveryError("The worker ended in the middle of the last attempts.")
            await _mark_failed(deliveries, claim, error)
            return None
        try:
            await self._attempt(claim)
            await _run_shielded(_record_acceptance(deliveries, claim, lease_ends))
        except PermanentDeliveryError as error:
            await _mark_failed(deliveries, claim, error)
        except TemporaryDeliveryError as error:
            return await _postpone(deliveries, claim, error)
        return None

    async def transmit(self, mail: OutgoingMail, name: str) -> None:
        """Send a mail, or write it to the file with this name if there is no mail server.

        Raises DeliveryError.
        """
        if self._pool is None:
            await write_message(self.settings.mail_dir / f"{name}.eml", mail)
        else:
            await self._pool.send(mail)

    async def _attempt(self, claim: DeliveryClaim) -> None:
        """Return once the message is accepted; every failure becomes a DeliveryError."""
        limit = longest_attempt(self.settings).total_seconds()
        try:
            async with asyncio.timeout(limit):
                await self.transmit(await self._compose(claim), str(claim.uuid))
        except DeliveryError:
            raise
        except TimeoutError as error:
            message_text = f"The attempt took longer than {limit:.0f} seconds."
            raise TemporaryDeliveryError(message_text) from error
        except Exception as error:
            # A bug is retried like a failure of the mail server, but must not go unnoticed.
            _logger.exception("delivery attempt broke", delivery=str(claim.uuid))
            raise TemporaryDeliveryError(f"Unexpected error: {type(error).__name__}.") from error

    async def _compose(self, claim: DeliveryClaim) -> OutgoingMail:
        issued = await self._find_document(claim)
        attachments = await self._attachments.make(issued)
        try:
            # It takes two milliseconds, whatever the invoice; a thread would take more.
            return compose_message(
                self.settings,
                issued.document,
                attachments,
                recipient=claim.recipient,
                message_id=claim.message_id,
            )
        except InvalidAddress as error:
            logged = "The recipient is not an e-mail address."
            raise PermanentDeliveryError(str(error), logged) from error

    async def _find_document(self, claim: DeliveryClaim) -> IssuedDocument:
        """Return the document that the delivery is about.

        Raises PermanentDeliveryError if it must not be sent any more, and TemporaryDeliveryError if
        it cannot be frozen now.
        """
        if claim.credit_note_id is not None:
            async with self.database.reading() as connection:
                return await credit_notes.find_by_id(connection, claim.credit_note_id)
        invoice = await self._invoices(claim.invoice_id)
        if invoice.state not in notifiable_states(invoice.total):
            # It was paid or canceled since: a demand for payment would be wrong.
            raise PermanentDeliveryError(f"Not sent, because the invoice is now {invoice.state}.")
        if invoice.document is not None:
            return invoice.document
        try:
            return await find_or_freeze(self.database, self.settings, invoice.id)
        except TemporarilyUnavailable as error:
            raise TemporaryDeliveryError(str(error)) from error

    async def _read_invoices(self, ids: Sequence[int | None]) -> Sequence[NotifiableInvoice]:
        keys = [id_ for id_ in ids if id_ is not None]
        async with self.database.reading() as connection:
            invoices = await read_notifiable(connection, keys)
        return [invoices[key] for key in keys]


async def _record_acceptance(
    deliveries: DeliveryRepository, claim: DeliveryClaim, lease_ends: float
) -> None:
    """Mark the delivery as sent; retry until the lease ends, in the event loop's time.

    Until then no other worker sends the message again.
    """
    loop = asyncio.get_running_loop()
    delays = chain(_RECORD_RETRY_DELAYS, repeat(_RECORD_RETRY_DELAYS[-1]))
    for attempt, delay in enumerate(delays):
        try:
            await deliveries.mark_sent(claim)
        except (OSError, SQLAlchemyError):
            if loop.time() + delay > lease_ends:
                raise
            if attempt == 0:
                _logger.warning("delivery not yet recorded as sent", delivery=str(claim.uuid))
            await asyncio.sleep(delay)
        else:
            break
    count_delivery_attempt(DeliveryOutcome.SENT)
    _logger.info("delivery sent", delivery=str(claim.uuid), attempt=claim.attempt)


async def _run_shielded(work: Coroutine[None, None, None]) -> None:
    """Run to the end even if the task is cancelled, as when the worker stops."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _postpone(
    deliveries: DeliveryRepository, claim: DeliveryClaim, error: TemporaryDeliveryError
) -> timedelta | None:
    if claim.attempt >= MAX_ATTEMPTS:
        await _mark_failed(deliveries, claim, error)
        return None
    delay = RETRY_DELAYS[claim.attempt - 1]
    if not await deliveries.postpone(claim, str(error), delay):
        return await deliveries.time_until_due(claim.uuid)
    count_delivery_attempt(DeliveryOutcome.POSTPONED)
    _logger.warning(
        "delivery postponed",
        delivery=str(claim.uuid),
        attempt=claim.attempt,
        pause_seconds=delay.total_seconds(),
        reason=error.logged,
    )
    return delay


async def _mark_failed(
    deliveries: DeliveryRepository, claim: DeliveryClaim, error: DeliveryError
) -> None:
    if await deliveries.mark_failed(claim, str(error)):
        count_delivery_attempt(DeliveryOutcome.FAILED)
        _logger.error(
            "delivery failed",
            delivery=str(claim.uuid),
            attempt=claim.attempt,
            reason=error.logged,
        )
