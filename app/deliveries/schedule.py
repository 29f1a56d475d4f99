"""Record the deliveries of a document, and retry failed ones, in the caller's transaction."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
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


class CannotRetry(Exception):
    """The delivery cannot be retried; the message gives the reason."""


async def schedule_deliveries(
    connection: AsyncConnection,
    settings: Settings,
    *,
    customer_id: int,
    invoice_id: int | None = None,
    credit_note_id: int | None = None,
) -> list[UUID]:
    """Record one delivery per recipient, and a job for each; return the UUIDs of the deliveries.

    They are of the invoice or of the credit note, of which one is given. A recipient with an open
    delivery of it gets no second one. For an invalid address,
    and if there is no address at all, a failed delivery is recorded with the reason; it is not
    returned. All rows belong to the caller's transaction: nothing is sent unless it commits.
    """
    scheduled = []
    for recipient in await find_recipients(connection, customer_id) or [Recipient("", NO_ADDRESS)]:
        row = _row(recipient.address, settings)
        row |= {"invoice_id": invoice_id, "credit_note_id": credit_note_id}
        if recipient.problem:
            await _record(connection, row | _failed(recipient.problem))
        elif uuid := await _record(connection, row):
            await _enqueue(connection, uuid)
            scheduled.append(uuid)
    return scheduled


async def retry_delivery(connection: AsyncConnection, uuid: UUID) -> None:
    """Make a failed delivery pending, with no attempts and a new job, in the caller's transaction.

    The delivery keeps its Message-ID. Raises CannotRetry if it has not failed, if it has no
    recipient, or if another delivery of the document to the same recipient is open.
    """
    columns = (Delivery.state, Delivery.recipient, Delivery.credit_note_id)
    locked = select(*columns).where(Delivery.uuid == uuid)
    row = (await connection.execute(locked.with_for_update())).one_or_none()
    if row is None:
        raise CannotRetry(f"There is no delivery {uuid}.")
    if row.state != DeliveryState.FAILED:
        raise CannotRetry(f"The delivery {uuid} has not failed: it is {row.state}.")
    if not row.recipient:
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
        document = "invoice" if row.credit_note_id is None else "credit note"
        raise CannotRetry(
            f"Another delivery of the {document} to {row.recipient} is pending or being sent."
        ) from error
    await _enqueue(connection, uuid)


async def _enqueue(connection: AsyncConnection, delivery: UUID) -> None:
    """Record the job that sends a delivery, in the caller's transaction."""
    await outbox.record_job(connection, DELIVER, {"delivery": str(delivery)})


def _failed(reason: str) -> dict[str, Any]:
    return {"state": DeliveryState.FAILED, "next_attempt_at": None, "last_error": reason}


def _row(recipient: str, settings: Settings) -> dict[str, Any]:
    now = database_now()
    return {
        "uuid": uuid4(),
        "recipient": recipient,
        "state": DeliveryState.PENDING,
        "next_attempt_at": now,
        "last_error": "",
        "message_id": f"<{uuid4()}@{Mailbox.parse(settings.mail_from).domain}>",
        "created_at": now,
    }


async def _record(connection: AsyncConnection, row: dict[str, Any]) -> UUID | None:
    document = Delivery.credit_note_id if row["invoice_id"] is None else Delivery.invoice_id
    statement = (
        insert(Delivery)
        .values(row)
        .on_conflict_do_nothing(
            index_elements=[document, func.lower(Delivery.recipient)],
            index_where=text(OPEN),
        )
        .returning(Delivery.uuid)
    )
    return (await connection.execute(statement)).scalar_one_or_none()
