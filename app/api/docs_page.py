"""The interactive documentation page, which loads nothing from other sites."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_PATH: Final = "/api/docs"


def install(app: FastAPI) -> None:
    """Serve the page and its assets."""
    app.mount(f"{_PATH}/assets", _Assets(packages=[("fastapi_offline", "static")]))
    # The URLs are relative, so that a gateway may add a path prefix.
    page = bytes(
        get_swagger_ui_html(
            title=app.title,
            openapi_url="schema.json",
            swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css",
            swagger_favicon_url="docs/assets/favicon.png",
        ).body
    )
    headers = {"Content-Security-Policy": _content_security_policy(page.decode())}

    @app.get(_PATH, include_in_schema=False)
    @app.head(_PATH, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)


class _Assets(StaticFiles):
    """Static files that answer other methods with `Allow`, as every other path does."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file. Raises HTTPException with 404, or with 405 for another method."""
        if scope["method"] in ("GET", "HEAD"):
            return await super().get_response(path, scope)
        await super().get_response(path, {**scope, "method": "HEAD"})
        raise HTTPException(405, headers={"Allow": "GET, HEAD, OPTIONS"})


def _content_security_policy(page: str) -> str:
    """Return the policy that lets the page run its own scripts and call this API only."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in hashes)])
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
