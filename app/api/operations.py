"""What logs and metrics call a request: by its operation, and a path without what clients made up.

Both are of known words alone. What a client writes into a path may be anything, a name or a token
in the wrong place too.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Scope

NO_OPERATION: Final = "none"
"""What a request is called that no operation answers: an unknown path, a method not allowed."""
_HIDDEN: Final = "*"
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-?)(?:[0-9A-Fa-f]{4}\1){3}[0-9A-Fa-f]{12}")


class Operations:
    """The operations of an application, once its routes are there."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        contexts = [c for c in iter_route_contexts(routes) if getattr(c, "methods", None)]
        # HEAD on what GET answers has no operation of its own.
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
        """Return the operation that a request was routed to, by its id in OpenAPI."""
        return self._names.get((scope.get("endpoint"), scope["method"]), NO_OPERATION)

    def path(self, scope: Scope) -> str:
        """Return a request's path with a `*` for each part that is neither ours nor a UUID."""
        path: str = scope["path"]
        return "/".join(
            part if part in self._words or _UUID.fullmatch(part) else _HIDDEN
            for part in path.split("/")
        )
