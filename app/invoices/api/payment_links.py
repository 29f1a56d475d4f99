"""Links between payments and invoices, changed by staff."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.body_links import Link
from app.api.confirmations import Detail
from app.api.operation_docs import document_action, document_body
from app.api.request_model import RequestModel
from app.api.serializers import URI, link
from app.database.engine import Connection
from app.invoices.actions.link_payment import LinkPayment, link_payment, unlink_payment
from app.payments.api.payment_changes import Changed
from app.payments.errors import AlreadyLinked, NotLinked

router = APIRouter(prefix="/api/payments", tags=["payments"])


class LinkToInvoiceRequest(RequestModel):
    """The invoice that a payment is for."""

    invoice: Annotated[UUID, Link(("invoices",))]
    """The URL of a paid invoice of the same organization."""


class LinkedInvoice(Detail):
    """The confirmation that a payment is linked to an invoice."""

    invoice: Annotated[UUID, link("invoices"), URI]


@router.post(
    "/{uuid}/link_to_invoice/",
    operation_id="payments_link_to_invoice",
    summary="Link payment to an invoice",
    response_model=LinkedInvoice,
    **document_action(
        "The payment is linked", document_body(LinkToInvoiceRequest), conditional=True
    ),
)
async def link_to_invoice(submission: Changed) -> Response:
    """Link a payment to a paid invoice of the same organization."""
    if submission.refusal is None and submission.record["invoice"] is not None:
        submission.refuse(AlreadyLinked())

    async def change(connection: Connection, body: LinkToInvoiceRequest) -> LinkedInvoice:
        await link_payment(connection, LinkPayment(submission.record["uuid"], body.invoice))
        return LinkedInvoice(detail="An invoice has been linked to payment.", invoice=body.invoice)

    return await submission.act(LinkToInvoiceRequest, change)


@router.post(
    "/{uuid}/unlink_from_invoice/",
    operation_id="payments_unlink_from_invoice",
    summary="Unlink payment from its invoice",
    response_model=Detail,
    **document_action("The payment is not linked any more", conditional=True),
)
async def unlink_from_invoice(submission: Changed) -> Response:
    """Unlink a payment from its invoice, which stays paid. A body is ignored."""
    if submission.refusal is None and submission.record["invoice"] is None:
        submission.refuse(NotLinked())

    async def change(connection: Connection) -> Detail:
        await unlink_payment(connection, submission.record["uuid"])
        return Detail(detail="An invoice has been unlinked from payment.")

    return await submission.act_without_body(change)
