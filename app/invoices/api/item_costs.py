"""Sums of items: of a list, of a project by month, and over the last months."""

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, PlainValidator, TypeAdapter, WithJsonSchema

from app.api.caching.conditional_get import ConditionalGet, Representation, Resource
from app.api.errors import NotFound
from app.api.operation_docs import COUNT_HEADER, LIST_HEADERS, NO_BODY, document_read
from app.api.pagination import INVALID_PAGE, NO_PAGE, Page, Paging
from app.api.query_parameters import (
    QueryParameters,
    QueryParser,
    QueryUuid,
    RequiredUuid,
    invalid,
)
from app.billing import money
from app.database.lists import Row
from app.identity.api.authentication import Authenticated
from app.invoices.api.items import ItemFilterParameters, item_filter_set
from app.invoices.item_schemas import (
    CostsForPeriod,
    InvoiceCost,
    InvoiceCostItem,
    InvoiceItemTotalPrice,
)
from app.invoices.queries.item_costs import (
    ExactTotal,
    MonthlyCosts,
    ProjectCosts,
    SpanCosts,
    read_costs_of_customer,
    read_costs_of_project,
    read_exact_total,
    read_project_costs,
)
from app.invoices.rendering.items import measured_unit

router = APIRouter(prefix="/api/invoice-items", tags=["invoice-items"])

_UUID_EXAMPLE: Final = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
_ONE: Final = {"X-Result-Count": "1"}
_encode_total = TypeAdapter(InvoiceItemTotalPrice).dump_json
_encode_costs = TypeAdapter(list[InvoiceCost]).dump_json
_encode_span = TypeAdapter(CostsForPeriod).dump_json


class Span(IntEnum):
    """The codes of spans of months, which end with the running month."""

    ALL = 1
    MONTH = 2
    THREE_MONTHS = 3
    TWELVE_MONTHS = 4

    @property
    def months(self) -> int | None:
        """The number of months; None for all."""
        return {Span.ALL: None, Span.MONTH: 1, Span.THREE_MONTHS: 3, Span.TWELVE_MONTHS: 12}[self]


def _parse_span(text: str) -> Span:
    for span in Span:
        if text.strip() == str(span.value):
            return span
    raise invalid(f"Select a valid choice. {text} is not one of the available choices.")


class CostsParameters(Paging):
    """The parameters of the costs of a project by month."""

    project_uuid: RequiredUuid = Field(examples=[_UUID_EXAMPLE])
    """The project."""


class SpanParameters(QueryParameters):
    """The span over which costs are added up."""

    period: Annotated[
        Span,
        PlainValidator(_parse_span),
        WithJsonSchema({"type": "integer", "enum": [span.value for span in Span], "default": 1}),
    ] = Field(default=Span.ALL, examples=[4])
    """The span: 1 for all months, 2 for the running month, 3 for three months, 4 for twelve."""


class ProjectSpanParameters(SpanParameters):
    """The parameters of the costs of a project over a span."""

    project_uuid: RequiredUuid = Field(examples=[_UUID_EXAMPLE])
    """The project."""
    resource_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Only this resource of the project."""


class CustomerSpanParameters(SpanParameters):
    """The parameters of the costs of a customer over a span."""

    customer_uuid: RequiredUuid = Field(examples=[_UUID_EXAMPLE])
    """The customer."""


def _read(path: str, operation: str, summary: str, model: Any, headers: Any) -> Callable[..., Any]:
    """Return the decorator that adds a read (GET, and HEAD as its count) to the router."""

    def add(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        kind = "list" if headers is LIST_HEADERS else "retrieve"
        router.get(
            path,
            operation_id=f"invoice_items_{operation}_{kind}",
            summary=summary,
            response_model=model,
            **document_read("A page of the list." if kind == "list" else "The sum.", headers),
        )(endpoint)
        router.head(
            path,
            operation_id=f"invoice_items_{operation}_count",
            summary=f"{summary}: count",
            **document_read(NO_BODY, headers),
        )(endpoint)
        return endpoint

    return add


@_read("/total_price/", "total_price", "Total price", InvoiceItemTotalPrice, COUNT_HEADER)
async def total_price(
    request: Request,
    caller: Authenticated,
    parameters: Annotated[ItemFilterParameters, Depends(QueryParser(ItemFilterParameters))],
) -> Response:
    """Add up unit price times quantity of the items that match, without rounding."""
    get = ConditionalGet(request)

    def represent(sums: ExactTotal) -> Representation:
        body = _encode_total({"total_price": sums.total})
        return Representation.of_body(body, {"X-Result-Count": str(sums.items)})

    filters = item_filter_set(parameters)
    select = partial(read_exact_total, caller=caller, filters=filters)
    return await get.respond(Resource(select, represent))


@_read("/costs/", "costs", "Costs by month", list[InvoiceCost], LIST_HEADERS)
async def list_costs(
    request: Request,
    caller: Authenticated,
    parameters: Annotated[CostsParameters, Depends(QueryParser(CostsParameters))],
) -> Response:
    """List the costs of a project by month, newest first; the running month with its items."""
    if parameters.page == NO_PAGE:
        raise NotFound(INVALID_PAGE)
    get = ConditionalGet(request)

    def represent(costs: ProjectCosts) -> Representation:
        page = Page(parameters, len(costs.months))
        months = costs.months[page.offset : page.offset + page.size]
        records = [_month_record(costs, month) for month in months]
        return Representation.of_body(_encode_costs(records), page.headers(request, get.links))

    select = partial(read_project_costs, caller=caller, project=parameters.project_uuid)
    return await get.respond(Resource(select, represent, in_snapshot=True))


@_read(
    "/project_costs_for_period/",
    "project_costs_for_period",
    "Costs of a project",
    CostsForPeriod,
    COUNT_HEADER,
)
async def project_costs_for_period(
    request: Request,
    caller: Authenticated,
    parameters: Annotated[ProjectSpanParameters, Depends(QueryParser(ProjectSpanParameters))],
) -> Response:
    """Add up the prices of a project's items over a span of months."""
    select = partial(
        read_costs_of_project,
        caller=caller,
        project=parameters.project_uuid,
        months=parameters.period.months,
        resource=parameters.resource_uuid,
    )
    return await _respond_with_span(request, select)


@_read(
    "/customer_costs_for_period/",
    "customer_costs_for_period",
    "Costs of a customer",
    CostsForPeriod,
    COUNT_HEADER,
)
async def customer_costs_for_period(
    request: Request,
    caller: Authenticated,
    parameters: Annotated[CustomerSpanParameters, Depends(QueryParser(CustomerSpanParameters))],
) -> Response:
    """Add up the prices of the items on a customer's invoices over a span of months."""
    select = partial(
        read_costs_of_customer,
        caller=caller,
        customer=parameters.customer_uuid,
        months=parameters.period.months,
    )
    return await _respond_with_span(request, select)


async def _respond_with_span(request: Request, select: Callable[..., Any]) -> Response:
    get = ConditionalGet(request)

    def represent(costs: SpanCosts) -> Representation:
        record: CostsForPeriod = {
            "total_price": money.round_half_even(costs.total, get.response_format.currency),
            "start_date": costs.first_day,
            "end_date": costs.last_day,
        }
        return Representation.of_body(_encode_span(record), _ONE)

    return await get.respond(Resource(select, represent))


def _month_record(costs: ProjectCosts, month: MonthlyCosts) -> InvoiceCost:
    record: InvoiceCost = {
        "price": month.price,
        "compensation": month.compensation,
        "incurred": month.incurred,
        "year": month.period.year,
        "month": month.period.month,
    }
    if month.period == costs.running:
        record["items"] = [_item_record(item) for item in costs.current_items]
    return record


def _item_record(item: Row) -> InvoiceCostItem:
    unit, quantity = item["unit"], item["quantity"]
    return {
        "name": item["name"],
        "unit_price": item["unit_price"],
        "unit": unit,
        "quantity": quantity,
        "measured_unit": item["measured_unit"] or measured_unit(unit, quantity),
        "price": item["price"],
    }
