"""Reads of invoices: the list, one invoice, its items and sums by offering, the growth."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from app.api.caching.conditional_get import ConditionalGet, Representation, Resource
from app.api.dependencies import Reading, RequestLinks
from app.api.json_response import MEDIA_TYPE, head_response
from app.api.operation_docs import (
    COUNT_HEADER,
    LIST_HEADERS,
    NO_BODY,
    document_errors,
    document_read,
)
from app.api.pagination import Page, page_query, path_and_query
from app.api.query_parameters import QueryParser
from app.database.lists import RowPage, read_page
from app.identity.access import visibility_of
from app.identity.api.authentication import Authenticated
from app.invoices.api.filters import (
    FieldSelection,
    GrowthParameters,
    InvoiceFilters,
    ItemsParameters,
    ListParameters,
    NamedInvoice,
    RetrieveParameters,
    StatsParameters,
    filter_set,
    growth_query,
    item_filters,
)
from app.invoices.queries.growth import count_major_customers, read_growth
from app.invoices.rendering.invoices import InvoiceRenderer
from app.invoices.rendering.items_of_invoice import render_items, stored_items_of_invoice
from app.invoices.rendering.stats import render_stats
from app.invoices.repository.reads import (
    INVOICES,
    FoundInvoice,
    Version,
    VersionedRow,
    find_visible_invoice,
    read_invoice,
    version_columns,
)
from app.invoices.schemas import (
    Invoice,
    InvoiceGrowth,
    InvoiceItem,
    InvoiceStatsOffering,
    SparseInvoice,
    encode_growth,
)

router = APIRouter(prefix="/api/invoices", tags=["invoices"])

_Responses = dict[int | str, dict[str, Any]]
_GROWTH: _Responses = {200: {"description": "The monthly totals.", "headers": COUNT_HEADER}}
_GROWTH_COUNT: _Responses = {200: {"description": NO_BODY, "headers": COUNT_HEADER}}

InvoiceUuid = Annotated[
    str,
    Path(
        description="The invoice's UUID, with or without hyphens.",
        examples=["a1b2c3d4-e5f6-7890-abcd-ef1234567890"],
        json_schema_extra={"format": "uuid"},
    ),
]
"""Any text: one that is no UUID names an invoice that does not exist."""
Listed = Annotated[ListParameters, Depends(QueryParser(ListParameters))]
Counted = Annotated[ListParameters, Depends(QueryParser(ListParameters, hidden=FieldSelection))]
Retrieved = Annotated[
    RetrieveParameters, Depends(QueryParser(RetrieveParameters, hidden=NamedInvoice))
]
ItemsAsked = Annotated[
    ItemsParameters, Depends(QueryParser(ItemsParameters, hidden=InvoiceFilters))
]
StatsAsked = Annotated[StatsParameters, Depends(QueryParser(StatsParameters))]
GrowthAsked = Annotated[GrowthParameters, Depends(QueryParser(GrowthParameters))]


@router.get(
    "/",
    operation_id="invoices_list",
    summary="List invoices",
    response_model=list[Invoice | SparseInvoice],
    **document_read("A page of the list.", LIST_HEADERS),
)
async def list_invoices(caller: Authenticated, parameters: Listed, request: Request) -> Response:
    """List the invoices that the caller may see, newest period first."""
    get = ConditionalGet(request)
    renderer = InvoiceRenderer(get.settings, get.cache, get.links, parameters.field)
    query = page_query(parameters, filter_set(parameters), renderer.columns)

    def represent(page: RowPage) -> Representation:
        headers = Page(parameters, page.count).headers(request, get.links)
        versions = tuple(map(Version._make, map(version_columns, page.rows)))
        return Representation(
            renderer.etag(page.count, versions),
            partial(renderer.render_page, versions=versions),
            headers,
            cached_parts=partial(renderer.cached_page, page.rows, versions),
            stored_parts=partial(renderer.stored_page, versions=versions),
        )

    select = partial(read_page, rows=INVOICES, visibility=visibility_of(caller), query=query)
    return await get.respond(Resource(select, represent, in_snapshot=query.is_deep))


@router.head(
    "/",
    operation_id="invoices_count",
    summary="Count invoices",
    **document_read(NO_BODY, LIST_HEADERS),
)
async def count_invoices(caller: Authenticated, parameters: Counted, request: Request) -> Response:
    """Get number of items in the collection matching the request parameters."""
    return await list_invoices(caller, parameters, request)


@router.get(
    "/growth/",
    operation_id="invoices_growth_retrieve",
    summary="Growth",
    response_model=InvoiceGrowth,
    responses=_GROWTH | document_errors(400, 404),
)
async def growth(
    caller: Authenticated, parameters: GrowthAsked, connection: Reading, links: RequestLinks
) -> Response:
    """Analyze invoice trends over time.

    Compares monthly totals for major customers versus others over the past year.
    """
    row = await read_growth(connection, caller, growth_query(parameters))
    headers = {"X-Result-Count": str(len(row["customer_periods"]))}
    return Response(encode_growth(row, context=links), 200, headers, MEDIA_TYPE)


@router.head(
    "/growth/",
    operation_id="invoices_growth_count",
    summary="Count major customers",
    responses=_GROWTH_COUNT | document_errors(400, 404),
)
async def count_growth(
    caller: Authenticated, parameters: GrowthAsked, connection: Reading
) -> Response:
    """Get number of items in the collection matching the request parameters."""
    count = await count_major_customers(connection, caller, growth_query(parameters))
    return head_response({"X-Result-Count": str(count)})


@router.get(
    "/{uuid}/",
    operation_id="invoices_retrieve",
    summary="Retrieve",
    response_model=Invoice | SparseInvoice,
    **document_read("The invoice."),
)
@router.head("/{uuid}/", include_in_schema=False)
async def retrieve_invoice(
    uuid: InvoiceUuid, caller: Authenticated, parameters: Retrieved, request: Request
) -> Response:
    """Get one invoice."""
    get = ConditionalGet(request)
    renderer = InvoiceRenderer(get.settings, get.cache, get.links, parameters.field)

    def represent(invoice: VersionedRow) -> Representation:
        version, row = invoice
        return Representation(
            renderer.etag(version),
            partial(renderer.render, versions=[version]),
            cached_parts=partial(renderer.cached_invoice, row, version),
            stored_parts=partial(renderer.stored_invoice, version=version),
        )

    select = partial(
        read_invoice,
        caller=caller,
        uuid=uuid,
        filters=filter_set(parameters),
        fields=renderer.columns,
    )
    return await get.respond(Resource(select, represent))


@router.get(
    "/{uuid}/items/",
    operation_id="invoices_items_retrieve",
    summary="Get invoice items",
    response_model=list[InvoiceItem],
    **document_read("The items of the invoice."),
)
@router.head("/{uuid}/items/", include_in_schema=False)
async def list_items(
    uuid: InvoiceUuid, caller: Authenticated, parameters: ItemsAsked, request: Request
) -> Response:
    """Retrieve a list of invoice items for the specified invoice."""
    get = ConditionalGet(request)
    filters = item_filters(parameters)
    response_format = get.response_format

    def represent(invoice: FoundInvoice) -> Representation:
        return Representation(
            get.etag("items", invoice.version, filters),
            partial(
                render_items, invoice=invoice, filters=filters, response_format=response_format
            ),
            stored_parts=partial(
                stored_items_of_invoice,
                invoice=invoice,
                filters=filters,
                response_format=response_format,
            ),
        )

    select = partial(find_visible_invoice, caller=caller, uuid=uuid, filters=filter_set(parameters))
    return await get.respond(Resource(select, represent))


@router.get(
    "/{uuid}/stats/",
    operation_id="invoices_stats_list",
    summary="Spendings grouped by offerings and filtered by provider",
    response_model=list[InvoiceStatsOffering],
    **document_read("A page of the list.", LIST_HEADERS),
)
@router.head("/{uuid}/stats/", include_in_schema=False)
async def list_stats(
    uuid: InvoiceUuid, caller: Authenticated, parameters: StatsAsked, request: Request
) -> Response:
    """Spendings grouped by offerings and filtered by provider."""
    get = ConditionalGet(request)

    def represent(invoice: FoundInvoice) -> Representation:
        headers: dict[str, str] = {}

        def limit_and_offset(count: int) -> tuple[int, int]:
            page = Page(parameters, count)
            headers.update(page.headers(request, get.links))
            return page.size, page.offset

        render = partial(
            render_stats,
            invoice=invoice,
            provider=parameters.provider_uuid,
            limit_and_offset=limit_and_offset,
            response_format=get.response_format,
        )
        # The links to other pages repeat the whole query.
        etag = get.etag("stats", invoice.version, *path_and_query(request))
        return Representation(etag, render, headers, headers_need_body=True)

    select = partial(find_visible_invoice, caller=caller, uuid=uuid, filters=filter_set(parameters))
    return await get.respond(Resource(select, represent))
