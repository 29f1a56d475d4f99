"""Literal paths go before the paths of records, for every method: `costs` is not a UUID."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route, compile_path
from starlette.types import Receive, Scope, Send

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


def install(app: FastAPI) -> None:
    """Refuse the other methods of literal paths with 405, before a record's path takes them."""
    methods: defaultdict[str, set[str]] = defaultdict(set)
    for route in app.routes:
        if isinstance(route, Route):
            methods[route.path].update(route.methods or ())
    of_records = [compile_path(path)[0] for path in methods if "{" in path]
    refused = {
        path: _METHODS - served
        for path, served in methods.items()
        if "{" not in path and any(pattern.match(path) for pattern in of_records)
    }
    app.router.routes.insert(0, _Refusal(refused))


class _Refusal(BaseRoute):
    """A route that is no operation, so that neither documents nor checks of operations list it.

    Every request passes here, so it looks its path up and matches no patterns.
    """

    def __init__(self, refused: Mapping[str, Collection[str]]) -> None:
        self._refused = refused

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the refused methods of literal paths."""
        is_refused = scope.get("method") in self._refused.get(scope["path"], ())
        return Match.FULL if is_refused else Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request."""
        raise HTTPException(405)
