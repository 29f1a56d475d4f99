"""Literal paths go before the paths of records, for every method: `costs` is not a UUID."""

import re
from collections import defaultdict
from collections.abc import Iterable
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
    refused: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for path, served in methods.items():
        if "{" not in path and any(pattern.match(path) for pattern in of_records):
            refused[_METHODS - served].append(path)
    app.router.routes[:0] = [_Refusal(each, paths) for each, paths in refused.items() if each]


class _Refusal(BaseRoute):
    """A route that is no operation, so that neither documents nor checks of operations list it.

    It has all paths that refuse the same methods, and one pattern for them. Starlette's own
    functions match it, since every request passes here.
    """

    def __init__(self, methods: Iterable[str], paths: Iterable[str]) -> None:
        route = Route("/", _refuse, methods=sorted(methods))
        route.path_regex = re.compile(f"^(?:{'|'.join(map(re.escape, sorted(paths)))})$")
        self.__dict__.update(matches=route.matches, handle=route.handle)


async def _refuse(_request: Request) -> Response:
    raise HTTPException(405)
