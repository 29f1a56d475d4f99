"""The actor of a change: the user, job or command that makes it."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Actor:
    """The user who calls an operation of the API, or a job or command that runs by itself."""

    operation: str
    """The name of the API operation, the job or the command."""
    user_uuid: UUID | None = None
    """None for jobs and commands."""
    username: str = ""
    token: str = ""
    """The name of the token that authenticated the request: the impersonator's token, if any."""
    request_id: str = ""
    """The request id of the log; empty for jobs and commands."""
    impersonator_uuid: UUID | None = None
    """The member of staff who acts as the user; None if the user calls directly."""
    impersonator_username: str = ""
