"""Literal paths go before the paths of records, for every method: `costs` is not a UUID."""

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app.api.errors import allowed_methods


def install(app: FastAPI) -> None:
    """Refuse the other methods of literal paths with 405, before a record's path takes them."""
    paths = {route.path or "" for route in iter_route_contexts(app.routes)}
    served = {path: allowed_methods(app.routes, path) for path in paths if "{" not in path}
    app.router.routes.insert(0, _OtherMethods(served))


class _OtherMethods(BaseRoute):
    """The methods that no operation of a literal path serves."""

    def __init__(self, served: dict[str, list[str]]) -> None:
        self._served = served

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a method that the path does not serve."""
        if scope["type"] == "http":
            served = self._served.get(scope["path"])
            if served and scope["method"] not in served:
                return Match.FULL, {}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the method."""
        raise HTTPException(405)
