"""The dependencies of all routes."""

import inspect

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.api.permissions import dependencies_of


def is_plain(call: object) -> bool:
    """Return whether FastAPI runs this in a thread."""
    function = call if inspect.isroutine(call) else getattr(call, "__call__", None)  # noqa: B004
    return not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))


async def test_no_dependency_runs_in_a_thread(app: FastAPI) -> None:
    seen = {
        call
        for route in iter_route_contexts(app.routes)
        if getattr(route, "dependant", None)
        for call in dependencies_of(route.dependant)
    }
    assert len(seen) > 8
    assert [call for call in seen if is_plain(call)] == []
