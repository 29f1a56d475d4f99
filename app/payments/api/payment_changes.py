"""Changes of payments, by staff: create, update, partial update, destroy."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Response

from app.api.errors import ApiError
from app.api.operation_docs import (
    document_body,
    document_create,
    document_destroy,
    document_update,
)
from app.api.rendered_response import RenderedResponse
from app.database.engine import Connection
from app.database.lists import Row
from app.domain_errors import DomainError
from app.idempotency.api.submission import (
    Submission,
    resource_of,
    submission_on,
    submission_to,
)
from app.payments.actions.payments import (
    CreatePayment,
    UpdatePayment,
    create_payment,
    delete_payment,
    lock_payment,
    update_payment,
)
from app.payments.api.payments import collection
from app.payments.api.request_bodies import (
    PatchedPaymentRequest,
    PatchedPaymentRequestForm,
    PatchedPaymentRequestMultipart,
    PaymentRequest,
    PaymentRequestForm,
    PaymentRequestMultipart,
)
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.store import ProofStore, remove
from app.payments.proofs import Proof
from app.payments.schemas import Payment

router = APIRouter(prefix="/api/payments", tags=["payments"])

PAYMENTS: Final = resource_of(collection, "payment", lock_payment)
Created = Annotated[Submission[None], Depends(submission_to(PAYMENTS))]
Changed = Annotated[Submission[Row], Depends(submission_on(PAYMENTS, collection.find))]
RecordT = TypeVar("RecordT")

_BODY: Final = document_body(
    PaymentRequest, form=PaymentRequestForm, multipart=PaymentRequestMultipart
)
_PATCHED_BODY: Final = document_body(
    PatchedPaymentRequest,
    form=PatchedPaymentRequestForm,
    multipart=PatchedPaymentRequestMultipart,
)


async def _submit(
    submission: Submission[RecordT],
    model: type[PaymentRequest],
    change: Callable[[Connection, dict[str, Any]], Awaitable[RenderedResponse]],
) -> Response:
    """Read the body, store its proof, and run the change with the fields of the payment."""
    proofs = submission.request.app.state.proof_store
    with closing(IncomingProof(proofs)) as incoming:
        body = await submission.read(model, incoming)
        if isinstance(body, Response):
            return body
        values = body.values()
        if values.get("proof") is not None:
            values["proof"] = await incoming.finish()
    async with _removed_if_refused(proofs, values.get("proof")):
        response = await submission.run_once(
            lambda connection: change(connection, values), conditional=bool(submission.subject)
        )
    if submission.rendered is None and values.get("proof") is not None:
        # The same request was answered meanwhile, with its own copy of the file.
        await remove(proofs, values["proof"].key)
    return response


@asynccontextmanager
async def _removed_if_refused(proofs: ProofStore, proof: Proof | None) -> AsyncIterator[None]:
    """Remove a proof if nothing was committed for certain; else the sweep decides."""
    try:
        yield
    except (ApiError, DomainError):
        if proof is not None:
            await remove(proofs, proof.key)
        raise


@router.post(
    "/",
    operation_id="payments_create",
    summary="Create payment",
    response_model=Payment,
    **document_create("payment", _BODY),
)
async def create(submission: Created) -> Response:
    """Record a payment that is not linked to an invoice."""

    async def change(connection: Connection, values: dict[str, Any]) -> RenderedResponse:
        uuid = await create_payment(connection, CreatePayment(**values))
        return await submission.render_created(connection, uuid)

    return await _submit(submission, PaymentRequest, change)


async def _update(submission: Changed, model: type[PaymentRequest]) -> Response:
    async def change(connection: Connection, values: dict[str, Any]) -> RenderedResponse:
        await update_payment(connection, UpdatePayment(submission.record["uuid"], **values))
        return await submission.render_updated(connection)

    return await _submit(submission, model, change)


@router.put(
    "/{uuid}/",
    operation_id="payments_update",
    summary="Update payment",
    response_model=Payment,
    **document_update("payment", _BODY),
)
async def update(submission: Changed) -> Response:
    """Change a payment. A proof replaces an earlier one."""
    return await _update(submission, PaymentRequest)


@router.patch(
    "/{uuid}/",
    operation_id="payments_partial_update",
    summary="Update payment partially",
    response_model=Payment,
    **document_update("payment", _PATCHED_BODY),
)
async def partial_update(submission: Changed) -> Response:
    """Change some fields of a payment. A proof replaces an earlier one, and null removes it."""
    return await _update(submission, PatchedPaymentRequest)


@router.delete(
    "/{uuid}/",
    operation_id="payments_destroy",
    summary="Delete payment",
    **document_destroy(),
)
async def destroy(submission: Changed) -> Response:
    """Delete a payment. Its invoice, if any, stays paid."""
    return await submission.destroy(
        lambda connection: delete_payment(connection, submission.record["uuid"])
    )
