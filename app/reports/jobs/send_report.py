"""Mails a report to one recipient.

A temporary failure is a failed attempt of the job, which is retried. A recipient or a message that
is refused for good ends it; its entry in the outbox names the address and the reason.
"""

import asyncio
from uuid import UUID

from app.billing.periods import Period
from app.mailbox import InvalidAddress, Mailbox
from app.notifications.outgoing import OutgoingMail
from app.notifications.sending import Sender, longest_attempt
from app.notifications.smtp import PermanentDeliveryError, TemporaryDeliveryError
from app.outbox.outcome import JobSummary, PermanentError
from app.reports.rendering.message import compose_report


async def send_report(
    sender: Sender, period: Period, *, recipient: str, message: UUID
) -> JobSummary:
    """Compose the report of a month as of now and mail it.

    Every attempt has the same Message-ID, `message` at the domain of MAIL_FROM. Raises
    PermanentError.
    """
    database, settings = sender.database, sender.settings
    summary = JobSummary()
    message_id = f"<{message}@{Mailbox.parse(settings.mail_from).domain}>"
    try:
        mail = await compose_report(
            database, settings, period, recipient=recipient, message_id=message_id
        )
        async with asyncio.timeout(longest_attempt(settings).total_seconds()):
            await sender.transmit(OutgoingMail(mail), str(message))
    except (InvalidAddress, PermanentDeliveryError) as error:
        raise PermanentError(f"{recipient}: {error}") from error
    except (TemporaryDeliveryError, TimeoutError) as error:
        reason = str(error) or "The attempt took too long."
        summary.failures.append(f"{recipient}: {reason}")
    else:
        summary.counts["reports sent"] = 1
    return summary
