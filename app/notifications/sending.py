"""Sending one delivery: the job's body, safe to run twice, at once, and to be killed at any point.

A delivery is claimed, sent, and settled. The claim is a lease that outlasts the longest attempt, so
that no two workers send the same delivery. What is left is the moment between the mail server's
acceptance and our record of it: where that is lost, because the connection or the worker died, the
delivery is sent again with the same Message-ID.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from email.message import EmailMessage
from itertools import chain, repeat
from typing import Protocol
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app.billing.currencies import get_currency
from app.database.engine import Database
from app.deliveries.repository import DeliveryClaim, DeliveryRepository
from app.logging import get_logger
from app.mailbox import InvalidAddress
from app.metrics.deliveries import DeliveryOutcome, delivery_attempted
from app.notifications import invoice_query, smtp
from app.notifications.errors import DeliveryError, PermanentDeliveryError, TemporaryDeliveryError
from app.notifications.file_transport import FileTransport
from app.notifications.messages import compose_message
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
"""What is waited after each failed attempt; after the one that follows the last, it has failed."""
MAX_ATTEMPTS = len(RETRY_DELAYS) + 1

_SLACK = timedelta(minutes=1)
"""What a lease has beyond the longest attempt: to settle it."""
_SETTLING_PAUSES = (0.5, 1, 2, 4, 8)
"""Seconds between tries to record an acceptance while the database is away; the last repeats."""


class Transport(Protocol):
    """Something that takes messages."""

    async def send(self, message: EmailMessage) -> None:
        """Return once the message is taken; raise a TemporaryFailure or PermanentFailure."""


def longest_attempt(settings: Settings) -> timedelta:
    """Return how long one attempt may take, all exchanges together; it is given up then.

    The job that calls `send_delivery` must be allowed a minute more.
    """
    return timedelta(seconds=60 + 4 * settings.smtp_timeout)


async def send_delivery(
    database: Database, settings: Settings, delivery_uuid: UUID
) -> timedelta | None:
    """Send a delivery that is due; return after what pause to come again, None if never.

    A delivery that another worker is sending is left alone until the end of its lease.
    """
    deliveries = DeliveryRepository(database)
    lease = longest_attempt(settings) + _SLACK
    lease_ends = asyncio.get_running_loop().time() + lease.total_seconds()
    claim = await deliveries.claim(delivery_uuid, lease)
    if claim is None:
        return await deliveries.wait(delivery_uuid)
    if claim.attempt > MAX_ATTEMPTS:
        # Only claims that nobody came back from lead here, such as of a worker that dies of it.
        await _give_up(
            deliveries,
            claim,
            PermanentDeliveryError("The worker ended in the middle of the last attempts."),
        )
        return None
    try:
        async with AsyncExitStack() as connections:
            await _hand_over(database, settings, claim, connections)
            await _finish(_record_acceptance(deliveries, claim, lease_ends))
    except PermanentDeliveryError as failure:
        await _give_up(deliveries, claim, failure)
    except TemporaryDeliveryError as failure:
        return await _postpone(deliveries, claim, failure)
    return None


async def _hand_over(
    database: Database, settings: Settings, claim: DeliveryClaim, connections: AsyncExitStack
) -> None:
    """Return once the message is accepted; whatever goes wrong is one of the two failures."""
    limit = longest_attempt(settings).total_seconds()
    try:
        async with asyncio.timeout(limit):
            message = await _message(database, settings, claim)
            transport = await connections.enter_async_context(_transport(settings, claim))
            await transport.send(message)
    except (PermanentDeliveryError, TemporaryDeliveryError):
        raise
    except TimeoutError as error:
        raise TemporaryDeliveryError(
            f"The attempt took longer than {limit:.0f} seconds."
        ) from error
    except Exception as error:
        # A fault of ours is tried again like one of the mail server's, and must not go unseen.
        _logger.exception("delivery attempt broke", delivery=str(claim.uuid))
        raise TemporaryDeliveryError(f"Unexpected error: {type(error).__name__}.") from error


async def _message(database: Database, settings: Settings, claim: DeliveryClaim) -> EmailMessage:
    invoice = await invoice_query.read_invoice_view(
        database, claim.invoice_id, get_currency(settings.currency)
    )
    if not invoice.may_be_sent:
        # Paid or canceled since: a demand for money would be wrong now.
        raise PermanentDeliveryError(f"Not sent, since the invoice is {invoice.state} meanwhile.")
    try:
        return await asyncio.to_thread(
            compose_message,
            settings,
            invoice,
            recipient=claim.recipient,
            message_id=claim.message_id,
        )
    except InvalidAddress as error:
        raise PermanentDeliveryError(
            str(error), "The recipient is not an e-mail address."
        ) from error


@asynccontextmanager
async def _transport(settings: Settings, claim: DeliveryClaim) -> AsyncIterator[Transport]:
    if settings.smtp_url is None:
        yield FileTransport(settings.mail_dir, claim.uuid)
        return
    async with smtp.open_connection(settings.smtp_url, settings.smtp_timeout) as transport:
        yield transport


async def _record_acceptance(
    deliveries: DeliveryRepository, claim: DeliveryClaim, lease_ends: float
) -> None:
    """Record that the message is out, trying again while the database takes no changes.

    Until the lease ends, by the loop's time, no other worker sends the message again.
    """
    loop = asyncio.get_running_loop()
    for attempt, pause in enumerate(chain(_SETTLING_PAUSES, repeat(_SETTLING_PAUSES[-1]))):
        try:
            await deliveries.sent(claim)
        except (OSError, SQLAlchemyError):
            if loop.time() + pause > lease_ends:
                raise
            if attempt == 0:
                _logger.warning("delivery not yet recorded as sent", delivery=str(claim.uuid))
            await asyncio.sleep(pause)
        else:
            break
    delivery_attempted(DeliveryOutcome.SENT)
    _logger.info("delivery sent", delivery=str(claim.uuid), attempt=claim.attempt)


async def _finish(work: Coroutine[None, None, None]) -> None:
    """Run to the end even when the worker is told to stop meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _postpone(
    deliveries: DeliveryRepository, claim: DeliveryClaim, failure: TemporaryDeliveryError
) -> timedelta | None:
    if claim.attempt >= MAX_ATTEMPTS:
        await _give_up(deliveries, claim, failure)
        return None
    pause = RETRY_DELAYS[claim.attempt - 1]
    if not await deliveries.postponed(claim, str(failure), pause):
        return await deliveries.wait(claim.uuid)
    delivery_attempted(DeliveryOutcome.POSTPONED)
    _logger.warning(
        "delivery postponed",
        delivery=str(claim.uuid),
        attempt=claim.attempt,
        pause_seconds=pause.total_seconds(),
        reason=failure.logged,
    )
    return pause


async def _give_up(
    deliveries: DeliveryRepository, claim: DeliveryClaim, failure: DeliveryError
) -> None:
    if await deliveries.failed(claim, str(failure)):
        delivery_attempted(DeliveryOutcome.FAILED)
        _logger.error(
            "delivery failed",
            delivery=str(claim.uuid),
            attempt=claim.attempt,
            reason=failure.logged,
        )
