"""The operation that notifies the recipients of a credit note."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from app.api.confirmations import Detail
from app.api.operation_docs import document_action
from app.credit_notes.actions.notify import notify
from app.credit_notes.api.credit_notes import collection
from app.database.engine import Connection
from app.database.lists import Row
from app.idempotency.api.submission import Resource, Submission, submission_on

router = APIRouter(prefix="/api/credit-notes", tags=["credit-notes"])

_RESOURCE: Final[Resource[Row]] = Resource("credit note", collection.name)
_SCHEDULED: Final = Detail(
    detail="Credit note notification sending has been successfully scheduled."
)
Submitted = Annotated[Submission[Row], Depends(submission_on(_RESOURCE, collection.find))]


@router.post(
    "/{uuid}/send_notification/",
    operation_id="credit_notes_send_notification",
    summary="Send credit note notification",
    response_model=Detail,
    **document_action("Notifications will be sent"),
)
async def send_notification(submission: Submitted) -> Response:
    """Schedule sending of a notification for the specified credit note. A body is ignored."""
    settings = submission.request.app.state.settings

    async def schedule(connection: Connection) -> Detail:
        await notify(connection, submission.record["uuid"], settings)
        return _SCHEDULED

    return await submission.act_without_body(schedule, conditional=False, notifies_worker=True)
