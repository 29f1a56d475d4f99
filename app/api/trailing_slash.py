"""Redirects from paths without their trailing slash, with which documented paths end."""

from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.api.errors import allowed_methods


def install(app: FastAPI) -> None:
    """Redirect a path that lacks its trailing slash. Other unknown paths are 404."""

    async def handle_unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not allowed_methods(app.routes, scope["path"] + "/"):
            raise HTTPException(404)
        await _redirect(Request(scope))(scope, receive, send)

    app.router.redirect_slashes = False
    app.router.default = handle_unknown_path


def _redirect(request: Request) -> Response:
    """Return a permanent redirect that preserves method and body.

    The location is relative, so that it preserves a gateway's path prefix too.
    """
    last = quote(request.url.path.rsplit("/", 1)[-1], safe="")
    query = f"?{request.url.query}" if request.url.query else ""
    return Response(status_code=308, headers={"Location": f"./{last}/{query}"})
