"""The operations with which staff change the credits of organizations."""

from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from app.api.operation_docs import document_action, document_body, document_create, document_update
from app.credits.actions import change_customer_credit as actions
from app.credits.api.bodies import (
    CreateCustomerCreditRequest,
    PatchedCreateCustomerCreditRequest,
    WithdrawableAdjustmentRequest,
)
from app.credits.api.customer_credits import collection, written_collection
from app.credits.schemas import CreateCustomerCredit, CustomerCredit
from app.database.lists import Row
from app.idempotency.api.submission import Submission, resource_of, submission_on, submission_to

router = APIRouter(prefix="/api/customer-credits", tags=["customer-credits"])

CREDITS: Final = resource_of(collection, "customer credit", actions.lock_customer_credit)
_WRITTEN: Final = replace(
    resource_of(written_collection, "customer credit", actions.lock_customer_credit),
    etag=CREDITS.etag,
)
Created = Annotated[Submission[None], Depends(submission_to(_WRITTEN))]
Changed = Annotated[Submission[Row], Depends(submission_on(_WRITTEN, collection.find))]
Adjusted = Annotated[Submission[Row], Depends(submission_on(CREDITS, collection.find))]


@router.post(
    "/",
    operation_id="customer_credits_create",
    summary="Create customer credit",
    response_model=CreateCustomerCredit,
    **document_create("customer credit", document_body(CreateCustomerCreditRequest)),
)
async def create(submission: Created) -> Response:
    """Give an organization a credit."""
    return await submission.create(
        CreateCustomerCreditRequest,
        lambda connection, body: actions.create_customer_credit(
            connection, actions.CreateCustomerCredit(body.values())
        ),
    )


async def _update(submission: Changed, model: type[CreateCustomerCreditRequest]) -> Response:
    return await submission.update(
        model,
        lambda connection, body: actions.update_customer_credit(
            connection, actions.UpdateCustomerCredit(submission.record["uuid"], body.values())
        ),
    )


@router.put(
    "/{uuid}/",
    operation_id="customer_credits_update",
    summary="Update customer credit",
    response_model=CreateCustomerCredit,
    **document_update("customer credit", document_body(CreateCustomerCreditRequest)),
)
async def update(submission: Changed) -> Response:
    """Change the credit of an organization. Fields that are absent keep their values."""
    return await _update(submission, CreateCustomerCreditRequest)


@router.patch(
    "/{uuid}/",
    operation_id="customer_credits_partial_update",
    summary="Update some fields of a customer credit",
    response_model=CreateCustomerCredit,
    **document_update("customer credit", document_body(PatchedCreateCustomerCreditRequest)),
)
async def partial_update(submission: Changed) -> Response:
    """Change fields of the credit of an organization."""
    return await _update(submission, PatchedCreateCustomerCreditRequest)


@router.post(
    "/{uuid}/adjust_withdrawable/",
    operation_id="customer_credits_adjust_withdrawable",
    summary="Adjust the withdrawable balance of a customer credit",
    response_model=CustomerCredit,
    **document_action(
        "The customer credit", document_body(WithdrawableAdjustmentRequest), conditional=True
    ),
)
async def adjust_withdrawable(submission: Adjusted) -> Response:
    """Change the value by an amount that counts as earned, with a comment in the ledger."""
    return await submission.update(
        WithdrawableAdjustmentRequest,
        lambda connection, body: actions.adjust_withdrawable(
            connection,
            actions.AdjustWithdrawable(submission.record["uuid"], body.amount, body.comment),
        ),
    )
