"""The mails of reports, as an operator sees them beside deliveries."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Text, Uuid, case, cast, func, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.outbox.models import OutboxEntry
from app.reports.models import SEND_REPORT

_arguments = OutboxEntry.arguments
_is_open = OutboxEntry.done_at.is_(None)
_is_sent = OutboxEntry.last_error == ""
_month: Final = (
    func.lpad(_arguments["year"].astext, 4, "0")
    + "-"
    + func.lpad(_arguments["month"].astext, 2, "0")
)
_state: Final[ColumnElement[Any]] = case(
    (_is_open, DeliveryState.PENDING.value),
    (_is_sent, DeliveryState.SENT.value),
    else_=DeliveryState.FAILED.value,
)


async def list_report_mails(
    connection: AsyncConnection, *, state: DeliveryState | None = None, limit: int
) -> Sequence[RowMapping]:
    """Return at most `limit` mails of reports, newest first, optionally of one state.

    One that is being sent is pending. The outbox keeps those that were sent for a week, and failed
    ones for 90 days.
    """
    message = cast(_arguments["message"].astext, Uuid)
    statement = (
        select(
            message.label("uuid"),
            cast(_state, Text).label("state"),
            _month.label("report"),
            _arguments["recipient"].astext.label("recipient"),
            OutboxEntry.attempts,
            case((_is_open, OutboxEntry.due_at), else_=null()).label("next_attempt_at"),
            OutboxEntry.created_at,
            case((_is_sent, OutboxEntry.done_at), else_=null()).label("sent_at"),
            message.label("message_id"),
            OutboxEntry.last_error,
        )
        .where(OutboxEntry.job == SEND_REPORT)
        .order_by(OutboxEntry.id.desc())
        .limit(limit)
    )
    if state is not None:
        statement = statement.where(_state == state.value)
    return (await connection.execute(statement)).mappings().all()
