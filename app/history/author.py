"""Who makes a change, as the record tells of it."""

from dataclasses import dataclass
from uuid import UUID


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
