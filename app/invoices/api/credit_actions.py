"""The operations of customer credits that change invoices."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.api.operation_docs import document_action, document_destroy
from app.api.request_model import RequestModel
from app.credits.api.customer_credit_changes import CREDITS
from app.credits.api.customer_credits import collection
from app.credits.schemas import CustomerCredit
from app.database.lists import Row
from app.idempotency.api.submission import Submission, submission_on
from app.invoices.actions.compensate_newest import (
    CompensateNewest,
    apply_to_newest,
    clear_newest,
)
from app.invoices.actions.delete_credit import DeleteCredit, delete_credit

router = APIRouter(prefix="/api/customer-credits", tags=["customer-credits"])

Changed = Annotated[Submission[Row], Depends(submission_on(CREDITS, collection.find))]


class _NoFields(RequestModel):
    """Older clients send a credit, which is ignored."""


@router.post(
    "/{uuid}/apply_compensations/",
    operation_id="customer_credits_apply_compensations",
    summary="Apply compensations",
    response_model=CustomerCredit,
    **document_action("The customer credit", conditional=True),
)
async def apply_compensations(submission: Changed) -> Response:
    """Let the credit pay items of the newest invoice that is not issued.

    Compensations that the invoice has are replaced. Without such an invoice nothing changes.
    """
    currency = submission.request.app.state.settings.currency
    return await submission.update(
        _NoFields,
        lambda connection, _body: apply_to_newest(
            connection, CompensateNewest(submission.record["uuid"]), currency
        ),
    )


@router.post(
    "/{uuid}/clear_compensations/",
    operation_id="customer_credits_clear_compensations",
    summary="Clear compensations",
    response_model=CustomerCredit,
    **document_action("The customer credit", conditional=True),
)
async def clear_compensations(submission: Changed) -> Response:
    """Remove the compensations of the newest invoice that is not issued, and give them back."""
    return await submission.update(
        _NoFields,
        lambda connection, _body: clear_newest(
            connection, CompensateNewest(submission.record["uuid"])
        ),
    )


@router.delete(
    "/{uuid}/",
    operation_id="customer_credits_destroy",
    summary="Delete customer credit",
    **document_destroy(),
)
async def destroy(submission: Changed) -> Response:
    """Delete the credit of an organization, whose projects must have no credit."""
    return await submission.destroy(
        lambda connection: delete_credit(connection, DeleteCredit(submission.record["uuid"]))
    )
