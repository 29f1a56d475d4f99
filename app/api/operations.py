"""Operations and paths as they appear in logs and metrics, and the methods of a path.

Both consist of known words only. A client may write anything into a path, even a name or a token.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Scope

from app.formats import UUID_FORMAT

NO_OPERATION: Final = "none"
"""The name of a request without an operation: an unknown path, or a method not allowed."""
_HIDDEN: Final = "*"


class Operations:
    """The operations of an application that has all its routes."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        contexts = [c for c in iter_route_contexts(routes) if getattr(c, "methods", None)]
        # HEAD has no operation of its own if GET is served by the same endpoint.
        ids = {
            context.endpoint: operation_id
            for context in contexts
            if (operation_id := getattr(context, "operation_id", None))
        }
        self._names: dict[tuple[Callable[..., Any] | None, str], str] = {
            (context.endpoint, method): ids.get(context.endpoint) or context.name or NO_OPERATION
            for context in contexts
            for method in context.methods or ()
        }
        self._words = {word for context in contexts for word in (context.path or "").split("/")}

    def name(self, scope: Scope) -> str:
        """Return the OpenAPI operation id of a routed request."""
        return self._names.get((scope.get("endpoint"), scope["method"]), NO_OPERATION)

    def path(self, scope: Scope) -> str:
        """Return a request's path with `*` for each part that is neither of a route nor a UUID."""
        path: str = scope["path"]
        return "/".join(
            part if part in self._words or UUID_FORMAT.fullmatch(part) else _HIDDEN
            for part in path.split("/")
        )


def allowed_methods(routes: Iterable[BaseRoute], path: str) -> list[str]:
    """Return the methods that all routes of a path serve, sorted; empty for an unknown path."""
    methods: set[str] = set()
    for route in iter_route_contexts(list(routes)):
        pattern = getattr(route, "path_regex", None)
        if route.methods and pattern is not None and pattern.match(path):
            methods |= {*route.methods, "OPTIONS"}
    return sorted(methods)
