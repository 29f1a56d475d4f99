"""The report of a month by mail."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from app.api.body_fields import Email
from app.api.body_numbers import Integer
from app.api.confirmations import Status
from app.api.operation_docs import document_action, document_body
from app.api.request_model import RequestModel
from app.billing.periods import Period
from app.database.engine import Connection
from app.idempotency.api.submission import Resource, Submission, submission_to
from app.identity.api.authentication import require_staff_or_support
from app.reports.actions.schedule_report import ScheduleReport, schedule_report

router = APIRouter(prefix="/api/invoice", tags=["invoice"])

_MAX_RECIPIENTS: Final = 100
_REPORT: Final[Resource[None]] = Resource("report", "invoice")
_SCHEDULED: Final = Status(status="The dispatch of reports has been scheduled.")

Submitted = Annotated[Submission[None], Depends(submission_to(_REPORT, require_staff_or_support))]


class FinancialReportEmailRequest(RequestModel):
    """The month of a report, and its recipients."""

    emails: list[Annotated[str, Email()]] = Field(min_length=1, max_length=_MAX_RECIPIENTS)
    year: Annotated[int, Integer(2000, 2100)]
    month: Annotated[int, Integer(1, 12)]


@router.post(
    "/send-financial-report-by-mail/",
    operation_id="invoice_send_financial_report_by_mail",
    summary="Send the report of a month by mail",
    response_model=Status,
    **document_action(
        "The report will be sent.", document_body(FinancialReportEmailRequest), status=202
    ),
)
async def send_report_by_mail(submission: Submitted) -> Response:
    """Send the invoices of a month, as CSV and XLSX, to each of the addresses."""

    async def schedule(connection: Connection, body: FinancialReportEmailRequest) -> Status:
        command = ScheduleReport(Period(body.year, body.month), body.emails)
        await schedule_report(connection, command)
        return _SCHEDULED

    return await submission.act(
        FinancialReportEmailRequest, schedule, status=202, notifies_worker=True
    )
