"""Which access a route demands, declared by the dependency that checks it."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final, TypeVar

from fastapi.dependencies.models import Dependant

IMPERSONATED_USER: Final = "X-Impersonated-User-Uuid"
"""The header with which staff do a request as another user, wherever a token is asked for."""
_ATTRIBUTE = "access_policy"

Check = TypeVar("Check", bound=Callable[..., Any])


class Access(StrEnum):
    """Who is let in."""

    AUTHENTICATED = "authenticated"
    STAFF = "staff"
    STAFF_OR_SUPPORT = "staff or support"


def enforces(access: Access) -> Callable[[Check], Check]:
    """Mark a dependency as the one that lets in only these callers."""

    def mark(check: Check) -> Check:
        setattr(check, _ATTRIBUTE, access)
        return check

    return mark


def dependencies_of(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """Yield every dependency that a route calls, at any depth."""
    for inner in dependant.dependencies:
        if inner.call is not None:
            yield inner.call
        yield from dependencies_of(inner)


def access_of(dependant: Dependant) -> Access | None:
    """Return the access that a route demands; None where it declares none."""
    for call in dependencies_of(dependant):
        access: Access | None = getattr(call, _ATTRIBUTE, None)
        if access is not None:
            return access
    return None
