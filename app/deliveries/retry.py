"""Retry a failed delivery at an operator's request."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.database.server_clock import database_now
from app.deliveries.models import Delivery
from app.deliveries.schedule import enqueue_delivery


class CannotRetry(Exception):
    """The delivery cannot be retried; the message gives the reason."""


async def retry_delivery(connection: AsyncConnection, uuid: UUID) -> None:
    """Make a failed delivery pending, with no attempts and a new job, in the caller's transaction.

    The delivery keeps its Message-ID. Raises CannotRetry if it has not failed, if it has no
    recipient, or if another delivery of the invoice to the same recipient is open.
    """
    state, recipient = await _lock(connection, uuid)
    if state != DeliveryState.FAILED:
        raise CannotRetry(f"The delivery {uuid} has not failed: it is {state}.")
    if not recipient:
        raise CannotRetry(
            f"The delivery {uuid} has no recipient. Add an address and notify again instead."
        )
    statement = (
        update(Delivery)
        .where(Delivery.uuid == uuid)
        .values(state=DeliveryState.PENDING, attempts=0, next_attempt_at=database_now())
    )
    try:
        async with connection.begin_nested():
            await connection.execute(statement)
    except IntegrityError as error:
        raise CannotRetry(
            f"Another delivery of the invoice to {recipient} is pending or being sent."
        ) from error
    await enqueue_delivery(connection, uuid)


async def _lock(connection: AsyncConnection, uuid: UUID) -> tuple[str, str]:
    statement = (
        select(Delivery.state, Delivery.recipient).where(Delivery.uuid == uuid).with_for_update()
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise CannotRetry(f"There is no delivery {uuid}.")
    return row.state, row.recipient
