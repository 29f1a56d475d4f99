"""A request waits for the database for so long, and no longer."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.database.deadline import request_deadline

_WITHOUT_BODY = ("GET", "HEAD")


class PatienceMiddleware:
    """Limits what a request waits for the database in all, until its answer begins.

    Of a request that has no body all time counts: so a crowd, too, is answered in time.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counts_all_time = scope["method"] in _WITHOUT_BODY
        with request_deadline(self._seconds, counts_all_time=counts_all_time) as deadline:

            async def begun(message: Message) -> None:
                deadline.cancel()
                await send(message)

            await self._app(scope, receive, begun)
