"""Notify the recipients of a credit note: record the deliveries that the worker sends."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.credit_notes import repository
from app.deliveries.schedule import schedule_deliveries
from app.settings import Settings


async def notify(connection: AsyncConnection, uuid: UUID, settings: Settings) -> list[UUID]:
    """Record a delivery of an existing credit note, and its job, for each recipient.

    Returns the deliveries; a recipient with one under way gets no second.
    """
    addressee = await repository.find_addressee(connection, uuid)
    return await _schedule(connection, addressee, settings)


async def notify_if_due(connection: AsyncConnection, uuid: UUID, settings: Settings) -> None:
    """Notify of a new credit note, if the service itself notifies the customer of it."""
    addressee = await repository.find_addressee(connection, uuid)
    if addressee.is_notified:
        await _schedule(connection, addressee, settings)


async def _schedule(
    connection: AsyncConnection, addressee: repository.Addressee, settings: Settings
) -> list[UUID]:
    return await schedule_deliveries(
        connection,
        settings,
        customer_id=addressee.customer_id,
        credit_note_id=addressee.credit_note_id,
    )
