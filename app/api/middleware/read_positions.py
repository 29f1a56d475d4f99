"""Stores the position of each answer before it starts, while DATABASE_READ_URL is set."""

from typing import Final, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import api_error_of, error_response
from app.database.errors import DatabaseUnavailable
from app.database.replicas.routing import ReadRouter, RequestReads

_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
POSITIONS: Final = "app.positions"
"""The key of the scope that has a request's `RequestPositions`."""
READS: Final = "app.reads"
"""The key of the scope that has the reads of a request that changes nothing."""


class RequestPositions:
    """The positions of one request: of its reads, or of its change."""

    def __init__(self, router: ReadRouter, method: str) -> None:
        self._router = router
        self._changed_by = ""
        self._is_noted = False
        self.reads: Final = RequestReads(router) if method in _SAFE_METHODS else None

    async def set_token(self, token: str) -> None:
        """Say whose request it is, before it reads or changes anything.

        Raises DatabaseUnavailable.
        """
        if self.reads is not None:
            self.reads.set_token(token)
        else:
            self._is_noted = await self._router.begin_change(token)
            self._changed_by = token

    async def settle(self, status: int) -> None:
        """Store the positions, before the response starts. Raises DatabaseUnavailable."""
        if status >= 500:  # a change may still be committed: it ends by its lifetime
            return
        if self.reads is not None:
            await self.reads.settle()
        elif self._changed_by:
            await self._router.end_change(self._changed_by, is_noted=self._is_noted)


class ReadPositionsMiddleware:
    """Settles the positions of each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        router = cast(ReadRouter, scope["app"].state.read_router)
        positions = scope[POSITIONS] = RequestPositions(router, scope["method"])
        if positions.reads is not None:
            scope[READS] = positions.reads
        is_replaced = False

        async def settle_and_send(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start":
                try:
                    await positions.settle(message["status"])
                except DatabaseUnavailable as error:
                    is_replaced = True
                    await error_response(api_error_of(error))(scope, receive, send)
            if not is_replaced:
                await send(message)

        await self._app(scope, receive, settle_and_send)
