"""What an operator sees of deliveries, and trying failed ones again."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.customers.models import Customer
from app.database.server_clock import database_now
from app.deliveries.models import Delivery
from app.deliveries.schedule import enqueue
from app.invoices.models import Invoice


class CannotRetry(Exception):
    """A delivery that cannot be tried again; the message says why."""


async def listing(
    connection: AsyncConnection,
    *,
    state: DeliveryState | None = None,
    invoice: UUID | None = None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return the newest deliveries of a state, of an invoice, or all; at most `limit`."""
    statement = (
        select(
            Delivery.uuid,
            Delivery.state,
            Invoice.number.label("invoice_number"),
            Invoice.uuid.label("invoice_uuid"),
            Customer.name.label("customer_name"),
            Delivery.recipient,
            Delivery.attempts,
            Delivery.next_attempt_at,
            Delivery.created_at,
            Delivery.sent_at,
            Delivery.message_id,
            Delivery.last_error,
        )
        .join(Invoice, Invoice.id == Delivery.invoice_id)
        .join(Customer, Customer.id == Invoice.customer_id)
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    if state is not None:
        statement = statement.where(Delivery.state == state)
    if invoice is not None:
        statement = statement.where(Invoice.uuid == invoice)
    return (await connection.execute(statement)).mappings().all()


async def retry(connection: AsyncConnection, uuid: UUID) -> None:
    """Make a failed delivery pending again, as new, with a job; in the caller's transaction.

    It keeps its Message-ID. Raises CannotRetry where it has not failed, has no recipient, or where
    its recipient is being delivered the invoice already.
    """
    found = await _find(connection, uuid)
    if found["state"] != DeliveryState.FAILED:
        raise CannotRetry(f"The delivery {uuid} has not failed: it is {found['state']}.")
    if not found["recipient"]:
        raise CannotRetry(
            f"The delivery {uuid} has no recipient. Add an address and notify again instead."
        )
    statement = (
        update(Delivery)
        .where(Delivery.uuid == uuid, Delivery.state == DeliveryState.FAILED)
        .values(state=DeliveryState.PENDING, attempts=0, next_attempt_at=database_now())
    )
    try:
        async with connection.begin_nested():
            await connection.execute(statement)
    except IntegrityError as error:
        raise CannotRetry(
            f"Another delivery of the invoice to {found['recipient']} is on its way already."
        ) from error
    await enqueue(connection, uuid)


async def _find(connection: AsyncConnection, uuid: UUID) -> RowMapping:
    statement = (
        select(Delivery.state, Delivery.recipient).where(Delivery.uuid == uuid).with_for_update()
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise CannotRetry(f"There is no delivery {uuid}.")
    return row
