"""The access that a route requires, declared by the dependency that enforces it."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final, TypeVar

from fastapi.dependencies.models import Dependant

IMPERSONATED_USER: Final = "X-Impersonated-User-Uuid"
"""The header by which staff act as another user, in every operation that requires a token."""
_ATTRIBUTE = "access_policy"

Check = TypeVar("Check", bound=Callable[..., Any])


class Access(StrEnum):
    """The callers that a route admits."""

    AUTHENTICATED = "authenticated"
    STAFF = "staff"
    STAFF_OR_SUPPORT = "staff or support"


def enforces(access: Access) -> Callable[[Check], Check]:
    """Declare that a dependency admits only these callers."""

    def mark(check: Check) -> Check:
        setattr(check, _ATTRIBUTE, access)
        return check

    return mark


def dependencies_of(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """Yield all dependencies of a route, at any depth."""
    for inner in dependant.dependencies:
        if inner.call is not None:
            yield inner.call
        yield from dependencies_of(inner)


def access_of(dependant: Dependant) -> Access | None:
    """Return the access that a route requires, or None if it declares none."""
    for call in dependencies_of(dependant):
        access: Access | None = getattr(call, _ATTRIBUTE, None)
        if access is not None:
            return access
    return None
