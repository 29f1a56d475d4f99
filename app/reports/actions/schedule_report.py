"""Schedule the mail of a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.deliveries.recipients import distinct_recipients
from app.outbox import repository as outbox
from app.reports.models import SEND_REPORT


@dataclass(frozen=True, slots=True)
class ScheduleReport:
    """Mail the report of a month to these addresses."""

    period: Period
    recipients: Sequence[str]


async def schedule_report(connection: AsyncConnection, command: ScheduleReport) -> int:
    """Record a job for each distinct recipient; return their number.

    Each has its own message, so that an address that is refused or slow affects no other, and no
    recipient sees the others. Nothing is sent unless the caller's transaction commits.
    """
    recipients = distinct_recipients(command.recipients)
    for recipient in recipients:
        arguments = {
            "year": command.period.year,
            "month": command.period.month,
            "recipient": recipient.address,
            "message": str(uuid4()),
        }
        await outbox.record_job(connection, SEND_REPORT, arguments)
    return len(recipients)
