"""One request that changes an invoice, in one transaction.

The transaction holds the change, the audit record of its actor, and, under an `Idempotency-Key`,
the stored response. The response is rendered before the commit, so that it shows the state that was
committed.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response

from app.api.caching import etags
from app.api.caching.conditional_get import ConditionalGet
from app.api.errors import PreconditionFailed
from app.api.middleware.proxy_headers import origin
from app.api.middleware.request_log import request_id_of
from app.api.query_parameters import QueryParser
from app.api.rendered_response import RenderedResponse
from app.api.request_body import RequestBody
from app.api.response_format import ResponseFormat
from app.api.serializers import build_links
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.database.deadline import restart_deadline_after_each
from app.database.engine import Connection, Database
from app.idempotency import repository
from app.idempotency.api.keys import REPLAYED, RequestKey, request_digest
from app.idempotency.keys import IdempotencyKey
from app.idempotency.repository import ResponseData
from app.identity.api.authentication import StaffOnly
from app.invoices.api.filters import NamedInvoice, filter_set
from app.invoices.api.router import InvoiceUuid
from app.invoices.rendering.invoices import InvoiceRenderer, render_invoice
from app.invoices.repository import writes
from app.invoices.repository.reads import FoundInvoice, find_visible_invoice, read_version
from app.settings import Settings


@dataclass(slots=True)
class Submission:
    """A request that changes an invoice; the caller may do so, and the invoice exists."""

    request: Request
    invoice: FoundInvoice
    key: IdempotencyKey | None
    actor: Actor
    database: Database
    settings: Settings
    rendered: RenderedResponse | None = None
    """The response to the change, once it is made; its transaction may not be committed yet."""
    _digest: bytes = b""

    async def find_replay(self, body: RequestBody) -> Response | None:
        """Return the stored response to the same request under the same key, if any.

        Call it as soon as the body is read, before any check that the first request passed and its
        repetition might not. Raises `KeyReused`.
        """
        if self.key is None:
            return None
        self._digest = request_digest(self.actor.operation, self.invoice.id, self.request, body)
        async with self.database.reading() as connection:
            earlier = await repository.find_response(connection, self.key, self._digest)
        return None if earlier is None else RenderedResponse(*earlier).response(REPLAYED)

    async def run_once(
        self,
        change: Callable[[Connection], Awaitable[object]] | None,
        response: RenderedResponse | None = None,
        *,
        conditional: bool = True,
    ) -> Response:
        """Make the change in a transaction and return its response; under a key, at most once.

        Without a `response` the invoice is rendered. A conditional request honours `If-Match`.
        A `change` of None changes nothing.

        Raises what `change` raises, `KeyInUse`, `KeyReused`, `PreconditionFailed`, and
        `DatabaseUnavailable`, after which the transaction may or may not be committed.
        """
        recorded = audited_transaction(self.database, self.settings.audit_key, self.actor)
        async with recorded as connection:
            if self.key is not None:
                await repository.lock_key(connection, self.key)
                earlier = await repository.find_response(connection, self.key, self._digest)
                if earlier is not None:
                    return RenderedResponse(*earlier).response(REPLAYED)
            if conditional and "if-match" in self.request.headers:
                await self._require_match(connection)
            if change is not None:
                await change(connection)
            rendered = response or await self._render(connection)
            self.rendered = rendered
            if self.key is not None:
                data = ResponseData(
                    rendered.body, rendered.is_compressed, rendered.status, rendered.headers
                )
                await repository.store_response(connection, self.key, self._digest, data)
        return rendered.response()

    async def _require_match(self, connection: Connection) -> None:
        """Lock the invoice and compare its ETag with `If-Match`; raises `PreconditionFailed`."""
        expected = ", ".join(self.request.headers.getlist("if-match"))
        if not expected:
            return
        await writes.lock_state(connection, self.invoice.id)
        version = await read_version(connection, self.invoice.id)
        get = ConditionalGet(self.request)
        renderer = InvoiceRenderer(get.settings, get.cache, get.links)
        if not etags.permits(expected, renderer.etag(version)):
            raise PreconditionFailed("The invoice has changed meanwhile.")

    async def _render(self, connection: Connection) -> RenderedResponse:
        """Render the invoice, as the transaction sees it, as the response."""
        links = build_links(self.settings, origin(self.request).base)
        response_format = ResponseFormat(links, self.settings.currency)
        document = render_invoice(connection, self.invoice.id, self.settings, response_format)
        async with aclosing(document) as parts:
            return await RenderedResponse.from_parts(restart_deadline_after_each(parts))


async def _submission(
    request: Request,
    caller: StaffOnly,
    key: RequestKey,
    uuid: InvoiceUuid,
    parameters: Annotated[NamedInvoice, Depends(QueryParser(NamedInvoice, hidden=NamedInvoice))],
) -> Submission:
    database: Database = request.app.state.database
    # A connection for this alone: an upload may follow.
    async with database.reading() as connection:
        invoice = await find_visible_invoice(
            connection, caller=caller, uuid=uuid, filters=filter_set(parameters)
        )
    impersonator = caller.impersonator
    actor = Actor(
        operation=request.scope["route"].operation_id,
        user_uuid=caller.user_uuid,
        username=caller.username,
        token=caller.token,
        request_id=request_id_of(request),
        impersonator_uuid=impersonator.uuid if impersonator else None,
        impersonator_username=impersonator.username if impersonator else "",
    )
    return Submission(request, invoice, key, actor, database, request.app.state.settings)


Submitted = Annotated[Submission, Depends(_submission)]
