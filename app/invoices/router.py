"""Reading invoices: the list, one of them, its items and sums, the growth over a year."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from app.http.dependencies import CurrentDatabase, CurrentSettings, Reading
from app.http.json import encoded, head_response
from app.http.links import RequestLinks
from app.http.openapi import COUNT_HEADER, LIST_HEADERS, NO_BODY, error_responses
from app.http.parameters import FromQuery
from app.http.streaming import JsonStream
from app.identity.authentication import Authenticated
from app.invoices import items, stats
from app.invoices.filters import (
    CountParameters,
    GrowthParameters,
    InvoiceFilters,
    ItemsParameters,
    ListParameters,
    NamedInvoice,
    RetrieveParameters,
    StatsParameters,
)
from app.invoices.growth import Growth
from app.invoices.repository import InvoiceRepository
from app.invoices.schemas import (
    Invoice,
    InvoiceGrowth,
    InvoiceItem,
    InvoiceStatsOffering,
    encode_growth,
    encode_invoice,
    encode_invoices,
    encode_stats,
)

router = APIRouter(prefix="/api/invoices", tags=["invoices"])

_Responses = dict[int | str, dict[str, Any]]
_ONE: _Responses = {200: {"description": "The invoice."}}
_ITEMS: _Responses = {200: {"description": "Its items."}}
_LISTED: _Responses = {200: {"description": "A page of the list.", "headers": LIST_HEADERS}}
_COUNT: _Responses = {200: {"description": NO_BODY, "headers": LIST_HEADERS}}
_GROWTH: _Responses = {200: {"description": "The sums.", "headers": COUNT_HEADER}}
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
Listed = Annotated[ListParameters, Depends(FromQuery(ListParameters))]
Counted = Annotated[CountParameters, Depends(FromQuery(CountParameters))]
Retrieved = Annotated[
    RetrieveParameters, Depends(FromQuery(RetrieveParameters, hidden=NamedInvoice))
]
ItemsAsked = Annotated[ItemsParameters, Depends(FromQuery(ItemsParameters, hidden=InvoiceFilters))]
StatsAsked = Annotated[StatsParameters, Depends(FromQuery(StatsParameters))]
GrowthAsked = Annotated[GrowthParameters, Depends(FromQuery(GrowthParameters))]


@router.get(
    "/",
    operation_id="invoices_list",
    summary="List invoices",
    response_model=list[Invoice],
    responses=_LISTED | error_responses(400, 404),
)
async def list_invoices(  # noqa: PLR0913 - one by one what the request brings
    *,
    caller: Authenticated,
    parameters: Listed,
    connection: Reading,
    settings: CurrentSettings,
    links: RequestLinks,
    request: Request,
) -> Response:
    """List the invoices that the caller may see, newest period first."""
    page, rows = await InvoiceRepository(connection, caller).list(parameters, settings)
    return encoded(encode_invoices(rows, links), headers=page.headers(request, links))


@router.head(
    "/",
    operation_id="invoices_count",
    summary="Count invoices",
    responses=_COUNT | error_responses(400, 404),
)
async def count_invoices(
    caller: Authenticated,
    parameters: Counted,
    connection: Reading,
    links: RequestLinks,
    request: Request,
) -> Response:
    """Get number of items in the collection matching the request parameters."""
    page = await InvoiceRepository(connection, caller).page(parameters)
    return head_response(page.headers(request, links))


@router.get(
    "/growth/",
    operation_id="invoices_growth_retrieve",
    summary="Growth",
    response_model=InvoiceGrowth,
    responses=_GROWTH | error_responses(400, 404),
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
    responses=_GROWTH_COUNT | error_responses(400, 404),
)
async def count_growth(
    caller: Authenticated, parameters: GrowthAsked, connection: Reading
) -> Response:
    """Get number of items in the collection matching the request parameters."""
    majors = await Growth(connection, caller, parameters).major_customers()
    return head_response({"X-Result-Count": str(len(majors))})


@router.get(
    "/{uuid}/",
    operation_id="invoices_retrieve",
    summary="Retrieve",
    response_model=Invoice,
    responses=_ONE | error_responses(400, 404),
)
@router.head("/{uuid}/", include_in_schema=False)
async def retrieve_invoice(  # noqa: PLR0913 - one by one what the request brings
    *,
    uuid: InvoiceUuid,
    caller: Authenticated,
    parameters: Retrieved,
    connection: Reading,
    settings: CurrentSettings,
    links: RequestLinks,
) -> Response:
    """Get one invoice."""
    row = await InvoiceRepository(connection, caller).retrieve(uuid, parameters, settings)
    return encoded(encode_invoice(row, links))


@router.get(
    "/{uuid}/items/",
    operation_id="invoices_items_retrieve",
    summary="Get invoice items",
    response_model=list[InvoiceItem],
    responses=_ITEMS | error_responses(400, 404),
)
async def list_items(
    uuid: InvoiceUuid,
    caller: Authenticated,
    parameters: ItemsAsked,
    database: CurrentDatabase,
    links: RequestLinks,
) -> Response:
    """Retrieve a list of invoice items for the specified invoice."""
    async with database.reading() as connection:
        invoice = await InvoiceRepository(connection, caller).find(uuid, parameters)
    return JsonStream(items.stream(database, invoice, parameters, links))


@router.head("/{uuid}/items/", include_in_schema=False)
async def check_items(
    uuid: InvoiceUuid, caller: Authenticated, parameters: ItemsAsked, connection: Reading
) -> Response:
    """Answer the headers alone, without reading items."""
    await InvoiceRepository(connection, caller).find(uuid, parameters)
    return head_response()


@router.get(
    "/{uuid}/stats/",
    operation_id="invoices_stats_list",
    summary="Spendings grouped by offerings and filtered by provider",
    response_model=list[InvoiceStatsOffering],
    responses=_LISTED | error_responses(400, 404),
)
@router.head("/{uuid}/stats/", include_in_schema=False)
async def list_stats(  # noqa: PLR0913 - one by one what the request brings
    *,
    uuid: InvoiceUuid,
    caller: Authenticated,
    parameters: StatsAsked,
    connection: Reading,
    links: RequestLinks,
    request: Request,
) -> Response:
    """Spendings grouped by offerings and filtered by provider."""
    invoice = await InvoiceRepository(connection, caller).find(uuid, parameters)
    page = await stats.page_of(connection, invoice, parameters)
    rows = await stats.rows_of(connection, invoice, parameters, page)
    return encoded(encode_stats(rows, links), headers=page.headers(request, links))
