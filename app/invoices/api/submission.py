"""One request that changes an invoice, in one transaction.

The transaction holds the change, the audit record of its actor, and, under an `Idempotency-Key`,
the stored response. The response is rendered before the commit, so that it shows the state that was
committed.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from fastapi import Request, Response

from app.api.caching import etags
from app.api.caching.conditional_get import ConditionalGet
from app.api.errors import PreconditionFailed
from app.api.rendered_response import RenderedResponse
from app.api.request_body import RequestBody
from app.audit.api.actor import actor_of_request
from app.audit.writer import audited_transaction
from app.database.deadline import restart_deadline_after_each
from app.database.engine import Connection
from app.idempotency import repository
from app.idempotency.api.keys import REPLAYED, request_digest
from app.idempotency.keys import IdempotencyKey
from app.idempotency.repository import ResponseData
from app.identity.caller import Caller
from app.invoices.rendering.invoices import InvoiceRenderer
from app.invoices.repository import writes
from app.invoices.repository.reads import FoundInvoice, read_version


class Submission:
    """A request that changes an invoice; the caller may do so, and the invoice exists."""

    def __init__(
        self, request: Request, caller: Caller, invoice: FoundInvoice, key: IdempotencyKey | None
    ) -> None:
        get = ConditionalGet(request)
        self._renderer = InvoiceRenderer(get.settings, get.cache, get.links)
        self.request = request
        self.database = get.database
        self.settings = get.settings
        self.invoice = invoice
        self._actor = actor_of_request(request, caller)
        self.has_key = key is not None
        self._key = key
        self._digest = b""

    async def find_replay(self, body: RequestBody) -> Response | None:
        """Return the stored response to the same request under the same key, if any.

        Call it as soon as the body is read, before any check that the first request passed and its
        repetition might not. Raises `KeyReused`.
        """
        if self._key is None:
            return None
        self._digest = request_digest(self._actor.operation, self.invoice.id, self.request, body)
        async with self.database.reading() as connection:
            earlier = await repository.find_response(connection, self._key, self._digest)
        return None if earlier is None else RenderedResponse(*earlier).response(REPLAYED)

    async def run_once(
        self, change: Callable[[Connection], Awaitable[RenderedResponse]]
    ) -> Response:
        """Make the change in a transaction and return its response; under a key, at most once.

        Raises what `change` raises, `KeyInUse`, `KeyReused`, and `DatabaseUnavailable`, after which
        the transaction may or may not be committed.
        """
        recorded = audited_transaction(self.database, self.settings.audit_key, self._actor)
        async with recorded as connection:
            if self._key is not None:
                await repository.lock_key(connection, self._key)
                earlier = await repository.find_response(connection, self._key, self._digest)
                if earlier is not None:
                    return RenderedResponse(*earlier).response(REPLAYED)
            answer = await change(connection)
            if self._key is not None:
                data = ResponseData(
                    answer.body, answer.is_compressed, answer.status, answer.headers
                )
                await repository.store_response(connection, self._key, self._digest, data)
        return answer.response()

    async def require_match(self, connection: Connection) -> None:
        """Lock the invoice and compare its ETag with `If-Match`, if the request has that header.

        Raises `PreconditionFailed` if they differ.
        """
        expected = ", ".join(self.request.headers.getlist("if-match"))
        if not expected:
            return
        await writes.lock_state(connection, self.invoice.id)
        version = await read_version(connection, self.invoice.id)
        if not etags.permits(expected, self._renderer.etag(version)):
            raise PreconditionFailed("The invoice has changed meanwhile.")

    async def render(self, connection: Connection) -> RenderedResponse:
        """Render the invoice, as the transaction sees it, as the response."""
        version = await read_version(connection, self.invoice.id)
        # Not stored: the transaction may roll back.
        async with aclosing(self._renderer.render(connection, [version], store=False)) as parts:
            return await RenderedResponse.from_parts(restart_deadline_after_each(parts))
