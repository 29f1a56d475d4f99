"""Reads of items across invoices: list, count, retrieve."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from app.api.caching.conditional_get import ConditionalGet, Representation, Resource
from app.api.collections import Collection, RecordUuid, add_list, add_retrieve, plain_filters
from app.api.operation_docs import LIST_HEADERS, document_read
from app.api.pagination import Page, Paging
from app.api.query_parameters import QueryInteger, QueryParameters, QueryParser, QueryUuid
from app.api.response_format import ResponseFormat
from app.billing.enums import BillingUnit
from app.database.filter_set import NOTHING, FilterSet
from app.database.lists import Row
from app.formats import NIL_UUID, parse_uuid
from app.identity.api.authentication import Authenticated, require_user
from app.invoices.item_schemas import CustomerCreditConsumptionByMonth, InvoiceItemDetail
from app.invoices.queries.item_lists import INVOICE_ITEMS
from app.invoices.rendering.items import NO_PROJECT, shown_details

router = APIRouter(prefix="/api/invoice-items", tags=["invoice-items"])

_YEARS: Final = range(1, 10_000)
_MONTHS: Final = range(1, 13)
_UUID_EXAMPLE: Final = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"


class ItemFilterParameters(QueryParameters):
    """The filters of items across invoices."""

    credit_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Compensations by this customer credit."""
    customer_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Items of the projects of this customer."""
    month: QueryInteger = Field(default=None, examples=[11])
    """Items of invoices for this month, of any year."""
    offering_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Items of this offering."""
    project_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Items of this project."""
    resource_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Items of this resource."""
    start_month: QueryInteger = Field(default=None, examples=[11])
    """Items that start in this month, of any year."""
    start_year: QueryInteger = Field(default=None, examples=[2026])
    """Items that start in this year."""
    year: QueryInteger = Field(default=None, examples=[2026])
    """Items of invoices for this year."""


class ItemListParameters(ItemFilterParameters, Paging):
    """The parameters of the list of items and of its count."""


def item_filter_set(parameters: QueryParameters) -> FilterSet:
    """Return the conditions of the filters. No item is of a year or month that does not exist."""
    given = plain_filters(parameters)
    names = tuple(
        NOTHING if name.endswith(("year", "month")) and not _exists(name, value) else name
        for name, value in given.values.items()
    )
    return FilterSet(names, given.values)


def _exists(name: str, value: int) -> bool:
    return value in (_YEARS if name.endswith("year") else _MONTHS)


def _record(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    details = row["details"]
    record = {name: row[name] for name in fields}
    record["unit"] = BillingUnit(row["unit"])
    record["details"] = shown_details(details, response_format.links)
    record["project_name"] = row["project_name"] or NO_PROJECT
    if row["offering_uuid"] == NIL_UUID:
        # An item outlives the offering, as its details show.
        named = details.get("offering_uuid")
        record["offering_uuid"] = (
            parse_uuid(named) if isinstance(named, str) else None
        ) or NIL_UUID
    for field in ("offering_name", "offering_component_type"):
        if record[field] is None and isinstance(details.get(field), str):
            record[field] = details[field]
    return record


collection: Final = Collection(
    name="invoice-items",
    schema=InvoiceItemDetail,
    rows=INVOICE_ITEMS,
    require=require_user,
    filter_set=item_filter_set,
    record=_record,
    noun="InvoiceItem",
)
add_list(router, collection, ItemListParameters, summary="List invoice items")
add_retrieve(router, collection, summary="Retrieve invoice item")


@router.get(
    "/{uuid}/consumptions/",
    operation_id="invoice_items_consumptions_list",
    summary="List consumptions",
    response_model=list[CustomerCreditConsumptionByMonth],
    **document_read("A page of the list, which is always empty.", LIST_HEADERS),
)
@router.head("/{uuid}/consumptions/", include_in_schema=False)
async def list_consumptions(
    request: Request,
    uuid: RecordUuid,
    caller: Authenticated,
    parameters: Annotated[ItemListParameters, Depends(QueryParser(ItemListParameters))],
) -> Response:
    """List the consumptions of an item. An item consumes no credit, so the list is empty."""
    get = ConditionalGet(request)

    def represent(_row: Row) -> Representation:
        return Representation.of_body(b"[]", Page(parameters, 0).headers(request, get.links))

    async def find(connection: Any) -> Row:
        return await collection.find(connection, caller, uuid, ("uuid",))

    return await get.respond(Resource(find, represent))
