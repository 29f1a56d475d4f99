"""The operations with which staff and owners change the credits of projects."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from app.api.operation_docs import (
    document_body,
    document_create,
    document_destroy,
    document_update,
)
from app.credits.actions import change_project_credit as actions
from app.credits.api.bodies import PatchedProjectCreditRequest, ProjectCreditRequest
from app.credits.api.project_credits import collection
from app.credits.repository.records import lock_project_credit
from app.credits.schemas import ProjectCredit
from app.database.engine import Connection
from app.database.lists import Row
from app.idempotency.api.submission import Submission, resource_of, submission_on, submission_to
from app.identity.api.authentication import require_user
from app.identity.caller import Caller

router = APIRouter(prefix="/api/project-credits", tags=["project-credits"])

_CREDITS: Final = resource_of(collection, "project credit", lock_project_credit)


async def _find_managed(connection: Connection, caller: Caller, uuid: str) -> Row:
    row = await collection.find(connection, caller, uuid)
    await actions.find_managed_project(connection, caller, row["uuid"])
    return row


async def _submission_of_manager(
    request: Request,
    submission: Annotated[Submission[None], Depends(submission_to(_CREDITS, require_user))],
) -> Submission[None]:
    """Refuse a caller who manages no credit before the body is read."""
    async with request.app.state.database.reading() as connection:
        await actions.require_manager(connection, submission.caller)
    return submission


Created = Annotated[Submission[None], Depends(_submission_of_manager)]
Changed = Annotated[Submission[Row], Depends(submission_on(_CREDITS, _find_managed, require_user))]


@router.post(
    "/",
    operation_id="project_credits_create",
    summary="Create project credit",
    response_model=ProjectCredit,
    **document_create("project credit", document_body(ProjectCreditRequest)),
)
async def create(submission: Created) -> Response:
    """Give a project a share of its organization's credit."""
    caller = submission.caller
    return await submission.create(
        ProjectCreditRequest,
        lambda connection, body: actions.create_project_credit(
            connection, actions.CreateProjectCredit(caller, body.values())
        ),
    )


async def _update(submission: Changed, model: type[ProjectCreditRequest]) -> Response:
    return await submission.update(
        model,
        lambda connection, body: actions.update_project_credit(
            connection,
            actions.UpdateProjectCredit(
                submission.caller, submission.record["uuid"], body.values()
            ),
        ),
    )


@router.put(
    "/{uuid}/",
    operation_id="project_credits_update",
    summary="Update project credit",
    response_model=ProjectCredit,
    **document_update("project credit", document_body(ProjectCreditRequest)),
)
async def update(submission: Changed) -> Response:
    """Change the credit of a project. Fields that are absent keep their values."""
    return await _update(submission, ProjectCreditRequest)


@router.patch(
    "/{uuid}/",
    operation_id="project_credits_partial_update",
    summary="Update some fields of a project credit",
    response_model=ProjectCredit,
    **document_update("project credit", document_body(PatchedProjectCreditRequest)),
)
async def partial_update(submission: Changed) -> Response:
    """Change fields of the credit of a project."""
    return await _update(submission, PatchedProjectCreditRequest)


@router.delete(
    "/{uuid}/",
    operation_id="project_credits_destroy",
    summary="Delete project credit",
    **document_destroy(),
)
async def destroy(submission: Changed) -> Response:
    """Delete the credit of a project, whose balance remains the organization's."""
    return await submission.destroy(
        lambda connection: actions.delete_project_credit(
            connection,
            actions.DeleteProjectCredit(submission.caller, submission.record["uuid"]),
        )
    )
