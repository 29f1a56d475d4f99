"""The history of an invoice, for staff and support."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from app.api.caching.conditional_get import ConditionalGet, Representation, Resource
from app.api.operation_docs import LIST_HEADERS, document_read
from app.api.pagination import Page, path_and_query
from app.api.query_parameters import QueryParser
from app.api.response_format import ResponseFormat
from app.audit.queries import TimeRange
from app.identity.api.authentication import StaffOrSupport
from app.invoices.api.filters import HistoryParameters, MomentParameters, NamedInvoice, filter_set
from app.invoices.api.router import InvoiceUuid
from app.invoices.queries.history import InvoiceHistory, find_history, find_version_at
from app.invoices.rendering.versions import render_history, render_version
from app.invoices.schemas import VersionHistory

router = APIRouter(prefix="/api/invoices", tags=["invoices"])

HistoryAsked = Annotated[HistoryParameters, Depends(QueryParser(HistoryParameters))]
MomentAsked = Annotated[
    MomentParameters, Depends(QueryParser(MomentParameters, hidden=NamedInvoice))
]


def _response_format(get: ConditionalGet) -> ResponseFormat:
    settings = get.settings
    has_grace_period = settings.finalization_grace_hours > 0
    return ResponseFormat(get.links, settings.currency, has_grace_period)


@router.get(
    "/{uuid}/history/",
    operation_id="invoices_history_list",
    summary="Get version history",
    response_model=list[VersionHistory],
    **document_read("A page of the list, newest first.", LIST_HEADERS),
)
@router.head("/{uuid}/history/", include_in_schema=False)
async def list_history(
    uuid: InvoiceUuid, caller: StaffOrSupport, parameters: HistoryAsked, request: Request
) -> Response:
    """List the versions of an invoice. Only accessible by staff and support users.

    `serialized_data` has the invoice at each version. Its `changes` lists the differences from the
    version before: fields of the invoice as `[old, new]`, up to 100 items, up to 100 payments, and
    the numbers of all changed items and payments.
    """
    get = ConditionalGet(request)

    def represent(history: InvoiceHistory) -> Representation:
        page = Page(parameters, history.count)
        render = partial(
            render_history,
            history=history,
            limit=page.size,
            offset=page.offset,
            response_format=_response_format(get),
        )
        # Entries do not change, so that their number determines them. The links to other pages
        # repeat the whole query.
        etag = get.etag("history", history.uuid, history.count, *path_and_query(request))
        return Representation(etag, render, page.headers(request, get.links))

    select = partial(
        find_history,
        caller=caller,
        uuid=uuid,
        filters=filter_set(parameters),
        time_range=TimeRange(parameters.created_after, parameters.created_before),
    )
    return await get.respond(Resource(select, represent, in_snapshot=True))


@router.get(
    "/{uuid}/history/at/",
    operation_id="invoices_history_at_retrieve",
    summary="Get object state at a specific timestamp",
    response_model=VersionHistory,
    **document_read("The newest version at or before the time."),
)
@router.head("/{uuid}/history/at/", include_in_schema=False)
async def retrieve_version(
    uuid: InvoiceUuid, caller: StaffOrSupport, parameters: MomentAsked, request: Request
) -> Response:
    """Get one invoice as it was at the specified timestamp.

    Only accessible by staff and support users. `serialized_data` also has all `items` and
    `payments` of that time, or null if the history does not go back that far.
    """
    get = ConditionalGet(request)

    def represent(version: tuple[UUID, Any]) -> Representation:
        invoice, entry = version
        render = partial(
            render_version,
            uuid=invoice,
            entry=entry,
            response_format=_response_format(get),
        )
        # The entries before this one do not change either.
        return Representation(get.etag("version", invoice, entry["id"]), render)

    select = partial(
        find_version_at,
        caller=caller,
        uuid=uuid,
        filters=filter_set(parameters),
        time=parameters.timestamp,
    )
    return await get.respond(Resource(select, represent, in_snapshot=True))
