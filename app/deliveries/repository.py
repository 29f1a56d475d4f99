"""Claims deliveries and stores their outcomes.

Both are compare-and-set updates. The number of attempts identifies the claim: once its lease has
ended and another worker has made the next attempt, an earlier claim can no longer store a failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Update, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.billing.enums import DeliveryState
from app.database.coalescer import Coalescer
from app.database.engine import Database
from app.database.server_clock import database_now, time_between
from app.database.statements import equals_any
from app.deliveries.models import Delivery

_OPEN = (DeliveryState.PENDING, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A delivery that this worker may send until the lease ends."""

    uuid: UUID
    invoice_id: int | None
    credit_note_id: int | None
    """The one or the other is None."""
    recipient: str
    message_id: str
    attempt: int
    """Counts from 1."""


async def count_by_state(connection: AsyncConnection, *, is_open: bool) -> dict[str, int]:
    """Count the open deliveries by state, using an index, or the others, reading the table."""
    condition = Delivery.state.in_(_OPEN) if is_open else Delivery.state.not_in(_OPEN)
    counts = (
        select(Delivery.state, func.count().label("number"))
        .where(condition)
        .group_by(Delivery.state)
    )
    rows = await connection.execute(counts)
    return {row.state: row.number for row in rows}


class DeliveryRepository:
    """Open deliveries; each method is a transaction of its own.

    Concurrent claims are one statement, and so are concurrent records of sent deliveries.
    """

    def __init__(self, database: Database, lease: timedelta) -> None:
        self._database = database
        self._lease = lease
        self._claims = Coalescer(self._claim_all)
        self._sent = Coalescer(self._mark_all_sent)

    async def claim(self, uuid: UUID) -> DeliveryClaim | None:
        """Claim a delivery that is due, or whose lease has ended; else return None.

        The first attempt is always due, because a clock that was fast may have recorded it. All
        times are those of the database server's clock. After that clock was set, no lease counts as
        ended until the clock has run evenly for the length of a lease.
        """
        return await self._claims(uuid)

    async def _claim_all(self, uuids: Sequence[UUID]) -> Sequence[DeliveryClaim | None]:
        async with self._database.autocommit() as connection:
            claims = await self._take(connection, uuids, DeliveryState.PENDING)
        if left := [uuid for uuid in uuids if uuid not in claims]:
            claims |= await self._take_over(left)
        # A delivery that was asked for twice is the first one's.
        return [claims.pop(uuid, None) for uuid in uuids]

    async def _take_over(self, uuids: Sequence[UUID]) -> dict[UUID, DeliveryClaim]:
        """Claim the deliveries whose lease has ended."""
        async with self._database.transaction() as connection:
            await self._database.clock.measure(connection)
            if self._database.clock.steady_seconds <= self._lease.total_seconds():
                return {}
            return await self._take(connection, uuids, DeliveryState.SENDING)

    async def _take(
        self, connection: AsyncConnection, uuids: Sequence[UUID], state: DeliveryState
    ) -> dict[UUID, DeliveryClaim]:
        rows = await connection.execute(_claim(uuids, state, self._lease))
        claims = {}
        for row in rows:
            claims[row.uuid] = DeliveryClaim(
                row.uuid,
                row.invoice_id,
                row.credit_note_id,
                row.recipient,
                row.message_id,
                row.attempts,
            )
            self._database.clock.observe(row.now)
        return claims

    async def time_until_due(self, uuid: UUID) -> timedelta | None:
        """Return the time until a delivery is due; None if it is finished or deleted."""
        remaining = time_between(database_now(), Delivery.next_attempt_at)
        statement = select(remaining).where(
            Delivery.uuid == uuid,
            Delivery.state.in_(_OPEN),
        )
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).scalar_one_or_none()

    async def mark_sent(self, claim: DeliveryClaim) -> bool:
        """Mark a delivery as sent, even if the claim was lost, because the message is out.

        Returns False if the delivery was finished already.
        """
        return await self._sent(claim.uuid)

    async def _mark_all_sent(self, uuids: Sequence[UUID]) -> Sequence[bool]:
        open_ = _locked(uuids, Delivery.state.in_(_OPEN))
        statement = (
            update(Delivery)
            .where(Delivery.id == open_.c.id)
            .values(
                state=DeliveryState.SENT,
                next_attempt_at=None,
                last_error="",
                sent_at=database_now(),
            )
            .returning(Delivery.uuid)
        )
        async with self._database.autocommit() as connection:
            marked = set((await connection.execute(statement)).scalars())
        return [uuid in marked for uuid in uuids]

    async def postpone(self, claim: DeliveryClaim, reason: str, delay: timedelta) -> bool:
        """Make a delivery pending again after a delay; return False if the claim was lost."""
        return await self._update(
            _update_claimed(claim).values(
                state=DeliveryState.PENDING,
                next_attempt_at=database_now() + delay,
                last_error=reason,
            )
        )

    async def mark_failed(self, claim: DeliveryClaim, reason: str) -> bool:
        """Mark a delivery as failed; return False if the claim was lost."""
        return await self._update(
            _update_claimed(claim).values(
                state=DeliveryState.FAILED, next_attempt_at=None, last_error=reason
            )
        )

    async def _update(self, statement: Update) -> bool:
        async with self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount == 1


def _claim(
    uuids: Sequence[UUID], state: DeliveryState, lease: timedelta
) -> ReturningUpdate[UUID, int | None, int | None, str, str, int, datetime]:
    now = database_now()
    is_due = or_(
        Delivery.next_attempt_at <= now,
        and_(Delivery.state == DeliveryState.PENDING, Delivery.attempts == 0),
    )
    due = _locked(uuids, and_(Delivery.state == state, is_due))
    return (
        update(Delivery)
        .where(Delivery.id == due.c.id)
        .values(
            state=DeliveryState.SENDING,
            attempts=Delivery.attempts + 1,
            next_attempt_at=now + lease,
        )
        .returning(
            Delivery.uuid,
            Delivery.invoice_id,
            Delivery.credit_note_id,
            Delivery.recipient,
            Delivery.message_id,
            Delivery.attempts,
            now.label("now"),
        )
    )


def _locked(uuids: Sequence[UUID], condition: ColumnElement[bool]) -> CTE:
    """Return the ids of deliveries, locked in one order, so that two batches cannot deadlock."""
    return (
        select(Delivery.id)
        .where(equals_any(Delivery.uuid, uuids), condition)
        .order_by(Delivery.id)
        .with_for_update()
        .cte("locked")
    )


def _update_claimed(claim: DeliveryClaim) -> Update:
    return update(Delivery).where(
        Delivery.uuid == claim.uuid,
        Delivery.state == DeliveryState.SENDING,
        Delivery.attempts == claim.attempt,
    )
