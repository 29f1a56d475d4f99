"""The operation that credits an invoice."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.api.caching.conditional_get import ConditionalGet
from app.api.operation_docs import document_body, document_create
from app.api.rendered_response import RenderedResponse
from app.credit_notes.actions.credit import CreditInvoice, CreditItem, credit
from app.credit_notes.api.credit_notes import collection
from app.credit_notes.api.request_bodies import CreditRequest, CreditRequestForm
from app.credit_notes.schemas import CreditNote
from app.database.engine import Connection
from app.invoices.api.action_router import Submitted
from app.invoices.errors import WrongInvoiceState
from app.invoices.states import CREDITABLE

router = APIRouter(prefix="/api/invoices", tags=["invoices"])


@router.post(
    "/{uuid}/credit/",
    operation_id="invoices_credit",
    summary="Credit invoice",
    response_model=CreditNote,
    **document_create(
        "credit note", document_body(CreditRequest, form=CreditRequestForm), from_other=True
    ),
)
async def credit_invoice(submission: Submitted) -> Response:
    """Give back an issued invoice or parts of it by a credit note; the invoice does not change."""
    invoice, settings = submission.record, submission.request.app.state.settings
    if invoice.state not in CREDITABLE:
        submission.refuse(WrongInvoiceState(CREDITABLE))
    body = await submission.read(CreditRequest)
    if isinstance(body, Response):
        return body
    items = None
    if body.items is not None:
        items = [CreditItem(each.uuid, each.quantity, each.price) for each in body.items]

    async def change(connection: Connection) -> RenderedResponse:
        command = CreditInvoice(invoice.id, body.reason, items)
        return await _render(connection, await credit(connection, command, settings))

    async def _render(connection: Connection, uuid: UUID) -> RenderedResponse:
        get = ConditionalGet(submission.request)
        row = await collection.find(connection, submission.caller, str(uuid))
        location = get.links.record(collection.name, uuid)
        return RenderedResponse(
            collection.encode(row, get.response_format), status=201, headers={"Location": location}
        )

    response = await submission.run_once(change, conditional=True)
    if submission.rendered is not None and settings.notify_on_issue:
        await submission.request.app.state.notifier.notify_worker()
    return response
