"""Who makes a change, as the record tells of it."""

from dataclasses import dataclass, replace
from uuid import UUID

from starlette.requests import Request

from app.api.middleware.request_log import request_id_of
from app.identity.caller import Caller


@dataclass(frozen=True, slots=True)
class Author:
    """A user who calls an operation, or a job or command that runs by itself."""

    operation: str
    """What is done: an operation of the API, a job or a command, by its name."""
    user_uuid: UUID | None = None
    """None for jobs and commands."""
    username: str = ""
    token: str = ""
    """The name of the token: the impersonator's where there is one, else the user's."""
    request_id: str = ""
    """As in the log; empty for jobs and commands."""
    impersonator_uuid: UUID | None = None
    """The user of staff who does the request as the user; None where the user calls."""
    impersonator_username: str = ""


def author_of(request: Request, caller: Caller) -> Author:
    """Return who makes the changes of a request: its operation is the one of the route."""
    author = Author(
        request.scope["route"].operation_id,
        caller.user_uuid,
        caller.username,
        caller.token,
        request_id_of(request),
    )
    if caller.impersonator is None:
        return author
    return replace(
        author,
        impersonator_uuid=caller.impersonator.uuid,
        impersonator_username=caller.impersonator.username,
    )
