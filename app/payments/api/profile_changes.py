"""Changes of payment profiles, by staff: create, update, partial update, destroy, enable."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from app.api.confirmations import Status
from app.api.operation_docs import (
    document_action,
    document_body,
    document_create,
    document_destroy,
    document_update,
)
from app.database.engine import Connection
from app.database.lists import Row
from app.idempotency.api.submission import (
    Submission,
    resource_of,
    submission_on,
    submission_to,
)
from app.payments.actions.profiles import (
    CreateProfile,
    UpdateProfile,
    create_profile,
    delete_profile,
    enable_profile,
    lock_organizations,
    lock_profile,
    update_profile,
)
from app.payments.api.profiles import collection
from app.payments.api.request_bodies import (
    PatchedPaymentProfileRequest,
    PaymentProfileRequest,
)
from app.payments.schemas import PaymentProfile

router = APIRouter(prefix="/api/payment-profiles", tags=["payment-profiles"])

PROFILES: Final = resource_of(collection, "payment profile", lock_profile)
Created = Annotated[Submission[None], Depends(submission_to(PROFILES))]
Changed = Annotated[Submission[Row], Depends(submission_on(PROFILES, collection.find))]


class EnabledProfile(Status):
    """The confirmation that a profile is active, under both names that clients know."""

    detail: str


_ENABLED: Final = EnabledProfile(
    status="Payment profile has been enabled.", detail="Payment profile has been enabled."
)


def _columns(body: PaymentProfileRequest) -> dict[str, Any]:
    """Return the columns of a profile in a body; of the states, null and false are one."""
    values = body.values()
    values.pop("organization", None)
    if "is_active" in values:
        values["is_active"] = bool(values["is_active"])
    return values


@router.post(
    "/",
    operation_id="payment_profiles_create",
    summary="Create payment profile",
    response_model=PaymentProfile,
    **document_create("payment profile", document_body(PaymentProfileRequest)),
)
async def create(submission: Created) -> Response:
    """Create a payment profile. If it is active, the organization's others become inactive."""
    return await submission.create(
        PaymentProfileRequest,
        lambda connection, body: create_profile(
            connection, CreateProfile(body.organization, {"attributes": {}} | _columns(body))
        ),
    )


async def _update(submission: Changed, model: type[PaymentProfileRequest]) -> Response:
    def command(body: PaymentProfileRequest) -> UpdateProfile:
        organization = body.values().get("organization")
        return UpdateProfile(submission.record["uuid"], _columns(body), organization)

    return await submission.update(
        model,
        lambda connection, body: update_profile(connection, command(body)),
        lock=lambda connection, body: lock_organizations(connection, command(body)),
    )


@router.put(
    "/{uuid}/",
    operation_id="payment_profiles_update",
    summary="Update payment profile",
    response_model=PaymentProfile,
    **document_update("payment profile", document_body(PaymentProfileRequest)),
)
async def update(submission: Changed) -> Response:
    """Change a payment profile. If it is active, the organization's others become inactive."""
    return await _update(submission, PaymentProfileRequest)


@router.patch(
    "/{uuid}/",
    operation_id="payment_profiles_partial_update",
    summary="Update payment profile partially",
    response_model=PaymentProfile,
    **document_update("payment profile", document_body(PatchedPaymentProfileRequest)),
)
async def partial_update(submission: Changed) -> Response:
    """Change some fields. If it becomes active, the organization's others become inactive."""
    return await _update(submission, PatchedPaymentProfileRequest)


@router.delete(
    "/{uuid}/",
    operation_id="payment_profiles_destroy",
    summary="Delete payment profile",
    **document_destroy(),
)
async def destroy(submission: Changed) -> Response:
    """Delete a payment profile that has no payments."""
    return await submission.destroy(
        lambda connection: delete_profile(connection, submission.record["uuid"])
    )


@router.post(
    "/{uuid}/enable/",
    operation_id="payment_profiles_enable",
    summary="Enable payment profile",
    response_model=EnabledProfile,
    **document_action("The profile is active", conditional=True),
)
async def enable(submission: Changed) -> Response:
    """Make a payment profile active and the organization's others inactive. A body is ignored."""

    async def change(connection: Connection) -> EnabledProfile:
        await enable_profile(connection, submission.record["uuid"])
        return _ENABLED

    return await submission.act_without_body(change)
