"""Requests that change one invoice, which the query's filters must not exclude."""

from contextlib import aclosing
from typing import Annotated, Final

from fastapi import Depends, Request

from app.api.caching.conditional_get import ConditionalGet
from app.api.middleware.proxy_headers import origin
from app.api.query_parameters import QueryParser
from app.api.rendered_response import RenderedResponse
from app.api.response_format import ResponseFormat
from app.api.serializers import build_links
from app.database.deadline import restart_deadline_after_each
from app.database.engine import Connection
from app.idempotency.api.keys import HEADER, key_of_request
from app.idempotency.api.submission import Resource, Submission
from app.identity.api.authentication import StaffOnly
from app.identity.caller import Caller
from app.invoices.api.filters import NamedInvoice, filter_set
from app.invoices.api.router import InvoiceUuid
from app.invoices.rendering.invoices import InvoiceRenderer, render_invoice
from app.invoices.repository import writes
from app.invoices.repository.reads import FoundInvoice, find_visible_invoice, read_version

Parameters = Annotated[NamedInvoice, Depends(QueryParser(NamedInvoice, hidden=NamedInvoice))]


async def _etag(
    connection: Connection, get: ConditionalGet, _caller: Caller, invoice: FoundInvoice
) -> str:
    await writes.lock_state(connection, invoice.id)
    version = await read_version(connection, invoice.id)
    return InvoiceRenderer(get.settings, get.cache, get.links).etag(version)


INVOICES: Final = Resource("invoice", "invoices", _etag)


async def _submission(
    request: Request, caller: StaffOnly, uuid: InvoiceUuid, parameters: Parameters
) -> Submission[FoundInvoice]:
    key = key_of_request(request, caller) if HEADER in request.headers else None
    # A connection for this alone: an upload may follow.
    async with request.app.state.database.reading() as connection:
        invoice = await find_visible_invoice(
            connection, caller=caller, uuid=uuid, filters=filter_set(parameters)
        )
    return Submission(request, caller, key, INVOICES, invoice, str(invoice.uuid))


async def render_changed(
    submission: Submission[FoundInvoice], connection: Connection
) -> RenderedResponse:
    """Render the invoice, as the transaction sees it, as the response."""
    request, settings = submission.request, submission.request.app.state.settings
    links = build_links(settings, origin(request).base)
    response_format = ResponseFormat(links, settings.currency)
    document = render_invoice(connection, submission.record.id, settings, response_format)
    async with aclosing(document) as parts:
        return await RenderedResponse.from_parts(restart_deadline_after_each(parts))


Submitted = Annotated[Submission[FoundInvoice], Depends(_submission)]
