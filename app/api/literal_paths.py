"""Literal paths go before the paths of records, for every method: `costs` is not a UUID."""

from collections import defaultdict
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, compile_path

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


def install(app: FastAPI) -> None:
    """Refuse the other methods of literal paths with 405, before a record's path takes them."""
    methods: defaultdict[str, set[str]] = defaultdict(set)
    for route in app.routes:
        if isinstance(route, Route):
            methods[route.path].update(route.methods or ())
    of_records = [compile_path(path)[0] for path in methods if "{" in path]
    refusals = [
        _Refusal(Route(path, _refuse, methods=sorted(others)))
        for path in sorted(path for path in methods if "{" not in path)
        if any(pattern.match(path) for pattern in of_records)
        if (others := _METHODS.difference(methods[path]))
    ]
    app.router.routes[:0] = refusals


class _Refusal(BaseRoute):
    """A route that is no operation, so that neither documents nor checks of operations list it."""

    def __init__(self, route: Route) -> None:
        # Starlette's own functions match a path, since every request passes here.
        self.__dict__.update(matches=route.matches, handle=route.handle)


async def _refuse(request: Request) -> Response:
    raise HTTPException(405)
