"""Reading invoices: the list, one of them, its items and sums, the growth over a year."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from app.api.caching.conditional_get import Answers
from app.api.dependencies import Reading
from app.api.json_response import encoded, head_response
from app.api.links import RequestLinks
from app.api.operation_docs import (
    COUNT_HEADER,
    LIST_HEADERS,
    NO_BODY,
    document_errors,
    document_read,
)
from app.api.query_parameters import QueryParser
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
)
from app.invoices.queries.growth import Growth
from app.invoices.queries.invoices import InvoiceList, OneInvoice
from app.invoices.queries.items import InvoiceItems
from app.invoices.queries.stats import InvoiceStats
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
"""Not checked here: what is no UUID is an invoice that does not exist."""
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
    answers = Answers(request)
    return await answers.to(InvoiceList(answers, caller, parameters))


@router.head(
    "/",
    operation_id="invoices_count",
    summary="Count invoices",
    **document_read(NO_BODY, LIST_HEADERS),
)
async def count_invoices(caller: Authenticated, parameters: Counted, request: Request) -> Response:
    """Get number of items in the collection matching the request parameters."""
    answers = Answers(request)
    return await answers.to(InvoiceList(answers, caller, parameters))


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
    row = await Growth(connection, caller, parameters).row()
    headers = {"X-Result-Count": str(len(row["customer_periods"]))}
    return encoded(encode_growth(row, links), headers=headers)


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
    count = await Growth(connection, caller, parameters).count()
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
    answers = Answers(request)
    return await answers.to(OneInvoice(answers, caller, uuid, parameters))


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
    answers = Answers(request)
    return await answers.to(InvoiceItems(answers, caller, uuid, parameters))


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
    answers = Answers(request)
    return await answers.to(InvoiceStats(answers, caller, uuid, parameters))
