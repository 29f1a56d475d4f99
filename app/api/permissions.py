"""The access that a route requires: `admitted` of the dependency that enforces it."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final

from fastapi.dependencies.models import Dependant

IMPERSONATED_USER: Final = "X-Impersonated-User-Uuid"
"""The header by which staff act as another user, in every operation that requires a token."""


class Access(StrEnum):
    """The callers that a route admits."""

    AUTHENTICATED = "authenticated"
    STAFF = "staff"
    STAFF_OR_SUPPORT = "staff or support"


def dependencies_of(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """Yield all dependencies of a route, at any depth."""
    for inner in dependant.dependencies:
        if inner.call is not None:
            yield inner.call
        yield from dependencies_of(inner)


def access_of(dependant: Dependant) -> Access | None:
    """Return the access that a route requires, or None if it declares none."""
    for call in dependencies_of(dependant):
        access: Access | None = getattr(call, "admitted", None)
        if access is not None:
            return access
    return None
