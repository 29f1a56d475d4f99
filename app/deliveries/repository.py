"""The only place that changes deliveries once they are recorded.

A delivery is claimed and settled by compare-and-set. The count of attempts is the claim's token: a
claim that was lost, since its lease ran out and another worker made the next attempt, can no longer
report a failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Update, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.billing.enums import DeliveryState
from app.database.engine import Database
from app.database.server_clock import database_now, time_between
from app.deliveries.models import Delivery

_OPEN = (DeliveryState.PENDING, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A delivery that is ours to send until the lease ends."""

    uuid: UUID
    invoice_id: int
    recipient: str
    message_id: str
    attempt: int
    """Counts from 1."""


async def count_open(connection: AsyncConnection) -> dict[str, int]:
    """Return how many deliveries are pending and being sent, by state; an index tells."""
    return await _by_state(connection, Delivery.state.in_(_OPEN))


async def count_finished(connection: AsyncConnection) -> dict[str, int]:
    """Return how many deliveries were sent and have failed; the table is read for it."""
    return await _by_state(connection, Delivery.state.not_in(_OPEN))


async def _by_state(connection: AsyncConnection, which: ColumnElement[bool]) -> dict[str, int]:
    counts = select(Delivery.state, func.count()).where(which).group_by(Delivery.state)
    return {state: number for state, number in await connection.execute(counts)}  # noqa: C416 - typed


class DeliveryRepository:
    """Deliveries on their way."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, uuid: UUID, lease: timedelta) -> DeliveryClaim | None:
        """Take a delivery that is due for sending, or whose lease has ended; else return None.

        The first attempt is due whatever the time: a clock that was fast may have recorded it. All
        goes by the database server's clock. After that was set, whether a lease has ended is known
        only when it has been right for as long as a lease lasts.
        """
        async with self._database.transaction() as connection:
            await self._database.clock.measure(connection)
            states = [DeliveryState.PENDING]
            if self._database.clock.steady_seconds > lease.total_seconds():
                states.append(DeliveryState.SENDING)
            claimed = await connection.execute(_claim(uuid, states, lease))
            row = claimed.one_or_none()
        return DeliveryClaim(*row) if row else None

    async def wait(self, uuid: UUID) -> timedelta | None:
        """Return how long until a delivery is to be looked at; None for one settled or gone."""
        wait = time_between(database_now(), Delivery.next_attempt_at)
        statement = select(wait).where(
            Delivery.uuid == uuid,
            Delivery.state.in_(_OPEN),
        )
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).scalar_one_or_none()

    async def sent(self, claim: DeliveryClaim) -> bool:
        """Settle a delivery as sent, even where the lease was lost: its message is out.

        Return whether it was not settled before.
        """
        return await self._settle(
            update(Delivery)
            .where(
                Delivery.uuid == claim.uuid,
                Delivery.state.in_(_OPEN),
            )
            .values(
                state=DeliveryState.SENT,
                next_attempt_at=None,
                last_error="",
                sent_at=database_now(),
            )
        )

    async def postponed(self, claim: DeliveryClaim, reason: str, pause: timedelta) -> bool:
        """Give a delivery back, to be tried again later; False where the claim was lost."""
        return await self._settle(
            _claimed(claim).values(
                state=DeliveryState.PENDING,
                next_attempt_at=database_now() + pause,
                last_error=reason,
            )
        )

    async def failed(self, claim: DeliveryClaim, reason: str) -> bool:
        """Settle a delivery as failed; False where the claim was lost."""
        return await self._settle(
            _claimed(claim).values(
                state=DeliveryState.FAILED, next_attempt_at=None, last_error=reason
            )
        )

    async def _settle(self, statement: Update) -> bool:
        async with self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount == 1


def _claim(
    uuid: UUID, states: Sequence[DeliveryState], lease: timedelta
) -> ReturningUpdate[UUID, int, str, str, int]:
    now = database_now()
    return (
        update(Delivery)
        .where(
            Delivery.uuid == uuid,
            Delivery.state.in_(states),
            or_(
                Delivery.next_attempt_at <= now,
                and_(Delivery.state == DeliveryState.PENDING, Delivery.attempts == 0),
            ),
        )
        .values(
            state=DeliveryState.SENDING,
            attempts=Delivery.attempts + 1,
            next_attempt_at=now + lease,
        )
        .returning(
            Delivery.uuid,
            Delivery.invoice_id,
            Delivery.recipient,
            Delivery.message_id,
            Delivery.attempts,
        )
    )


def _claimed(claim: DeliveryClaim) -> Update:
    return update(Delivery).where(
        Delivery.uuid == claim.uuid,
        Delivery.state == DeliveryState.SENDING,
        Delivery.attempts == claim.attempt,
    )
