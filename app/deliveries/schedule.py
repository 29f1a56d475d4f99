"""Record the deliveries of an invoice in the transaction of the change that causes them."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.database.server_clock import database_now
from app.deliveries.models import OPEN, Delivery
from app.deliveries.recipients import Recipient, find_recipients
from app.mailbox import Mailbox
from app.outbox import repository as outbox
from app.settings import Settings

DELIVER = "deliver"
"""The job that sends one delivery; its argument `delivery` is the delivery's UUID."""

NO_ADDRESS = "Neither an owner of the customer nor the customer itself has an e-mail address."


async def schedule_deliveries(
    connection: AsyncConnection, settings: Settings, *, invoice_id: int, customer_id: int
) -> list[UUID]:
    """Record one delivery of the invoice per recipient, and a job for each; return their UUIDs.

    A recipient with an open delivery of this invoice gets no second one. For an invalid address,
    and if there is no address at all, a failed delivery is recorded with the reason; it is not
    returned. All rows belong to the caller's transaction: nothing is sent unless it commits.
    """
    scheduled = []
    for recipient in await find_recipients(connection, customer_id) or [Recipient("", NO_ADDRESS)]:
        row = _row(invoice_id, recipient.address, settings)
        if recipient.problem:
            await _record(connection, row | _failed(recipient.problem))
        elif uuid := await _record(connection, row):
            await enqueue_delivery(connection, uuid)
            scheduled.append(uuid)
    return scheduled


async def enqueue_delivery(connection: AsyncConnection, delivery: UUID) -> None:
    """Record the job that sends a delivery, in the caller's transaction."""
    await outbox.record_job(connection, DELIVER, {"delivery": str(delivery)})


def _failed(reason: str) -> dict[str, Any]:
    return {"state": DeliveryState.FAILED, "next_attempt_at": None, "last_error": reason}


def _row(invoice_id: int, recipient: str, settings: Settings) -> dict[str, Any]:
    now = database_now()
    return {
        "uuid": uuid4(),
        "invoice_id": invoice_id,
        "recipient": recipient,
        "state": DeliveryState.PENDING,
        "next_attempt_at": now,
        "last_error": "",
        "message_id": f"<{uuid4()}@{Mailbox.parse(settings.mail_from).domain}>",
        "created_at": now,
    }


async def _record(connection: AsyncConnection, row: dict[str, Any]) -> UUID | None:
    statement = (
        insert(Delivery)
        .values(row)
        .on_conflict_do_nothing(
            index_elements=[Delivery.invoice_id, func.lower(Delivery.recipient)],
            index_where=text(OPEN),
        )
        .returning(Delivery.uuid)
    )
    return (await connection.execute(statement)).scalar_one_or_none()
