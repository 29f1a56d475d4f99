"""Who makes a change, as the record tells of it."""

from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request

from app.http.requests import request_id_of
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
    """The name of the user's token."""
    request_id: str = ""
    """As in the log; empty for jobs and commands."""


def author_of(request: Request, caller: Caller) -> Author:
    """Return who makes the changes of a request: its operation is the one of the route."""
    return Author(
        request.scope["route"].operation_id,
        caller.user_uuid,
        caller.username,
        caller.token,
        request_id_of(request),
    )
