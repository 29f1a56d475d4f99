"""Documented paths end in a slash; without it, a client is sent to the path with it."""

from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.api.operations import allowed_methods


def install(app: FastAPI) -> None:
    """Answer paths that lack their slash with a redirect, other unknown paths with 404."""

    async def unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not allowed_methods(app.routes, scope["path"] + "/"):
            raise HTTPException(404)
        await _to_slash(Request(scope))(scope, receive, send)

    app.router.redirect_slashes = False
    app.router.default = unknown_path


def _to_slash(request: Request) -> Response:
    """Return a permanent redirect that keeps method and body.

    It is relative, so that a gateway's path prefix survives.
    """
    last = quote(request.url.path.rsplit("/", 1)[-1], safe="")
    query = f"?{request.url.query}" if request.url.query else ""
    return Response(status_code=308, headers={"Location": f"./{last}/{query}"})
