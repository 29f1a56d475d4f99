"""Errors of the domain, by kind and without HTTP.

A package derives its own errors from these kinds. `app.api.errors` maps each kind to a status and
a body; a command prints the message.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

_SOON = timedelta(seconds=5)


class DomainError(Exception):
    """A rule or the stored data forbids the action; the message is for the caller."""


class NotFound(DomainError):
    """The record does not exist, or the caller may not see it."""


class WrongState(DomainError):
    """The record's state does not allow the action."""


class UnmetRequirements(WrongState):
    """The record lacks what the action requires of it."""

    def __init__(
        self, message: str, problems: Sequence[Mapping[str, str]] = (), lines: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.problems = problems
        """Each as a JSON object of texts."""
        self.problem_lines = lines
        """Each as a line for an operator."""


class RuleViolation(DomainError):
    """A rule forbids the action, whatever the single fields of the request say."""


class InvalidArgument(DomainError):
    """An argument of the request is invalid, or contradicts an earlier request."""


class InvalidField(DomainError):
    """A value is well-formed, but a rule or the stored data forbids it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownReference(InvalidField):
    """A field names a record that does not exist, or that may not be chosen."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "Invalid hyperlink - Object does not exist.")


class PermissionDenied(DomainError):
    """The caller's role at the record's organization does not allow the action."""

    def __init__(self) -> None:
        super().__init__("You do not have permission to perform this action.")


class LimitExceeded(DomainError):
    """A file is larger than the service stores."""


class RequestInProgress(DomainError):
    """The same request is still in progress. It may be repeated after a second."""


class TemporarilyUnavailable(DomainError):
    """The action is not possible at the moment. It may be repeated after a delay."""

    def __init__(self, message: str, retry_after: timedelta = _SOON) -> None:
        super().__init__(message)
        self.retry_after = retry_after
