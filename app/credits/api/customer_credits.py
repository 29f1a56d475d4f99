"""Reads of customer credits: list, count, retrieve, consumption by month."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from app.api.collections import Collection, RecordUuid, add_list, add_retrieve, select_fields
from app.api.dependencies import Reading
from app.api.operation_docs import LIST_HEADERS, document_read
from app.api.pagination import Paging
from app.api.query_parameters import QueryParser, QueryText, QueryUuid, orders
from app.api.response_format import ResponseFormat
from app.api.sparse_fields import array_of
from app.billing.compensation import withdrawable_balance
from app.credits.api.terms import computed_terms, with_links
from app.credits.queries.customer_credits import CONSUMPTIONS, CUSTOMER_CREDITS
from app.credits.schemas import (
    CreateCustomerCredit,
    CustomerCredit,
    CustomerCreditConsumption,
)
from app.database.filter_set import FilterSet
from app.database.lists import Row
from app.identity.api.authentication import Authenticated, require_user

router = APIRouter(prefix="/api/customer-credits", tags=["customer-credits"])

_NAMES: Final = ("customer_name", "end_date", "expected_consumption", "value")
_ORDERS: Final = (*_NAMES, *(f"-{name}" for name in _NAMES))


class CustomerCreditParameters(Paging):
    """The parameters of the list of customer credits and of its count."""

    customer_name: QueryText = Field(default=None, examples=["Example"])
    """Credits of organizations whose name contains this text, in any case."""
    customer_slug: QueryText = Field(default=None, examples=["example"])
    """The credit of the organization with this slug."""
    customer_uuid: QueryUuid = Field(
        default=None, examples=["a1b2c3d4-e5f6-7890-abcd-ef1234567890"]
    )
    """The credit of the organization with this UUID."""
    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("CustomerCreditOEnum", _ORDERS, style="form", explode=False),
    ] = Field(default=(), examples=[["-value"]])
    """Ordering; `-` for descending. Credits without a value come last."""
    query: QueryText = Field(default=None, examples=["example"])
    """Credits of organizations whose name, slug or UUID contains this text."""


def _record(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    record = select_fields(row, fields, response_format)
    return record | {
        "offerings": with_links(row["offerings"]),
        **computed_terms(row),
        "withdrawable_balance": withdrawable_balance(row["withdrawable_balance"], row["value"]),
    }


collection: Final = Collection(
    name="customer-credits",
    schema=CustomerCredit,
    rows=CUSTOMER_CREDITS,
    require=require_user,
    record=_record,
)


def _written(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    record = _record(row, fields, response_format)
    return record | {"offerings": [each["uuid"] for each in record["offerings"]]}


written_collection: Final = replace(collection, schema=CreateCustomerCredit, record=_written)
"""The credits as the responses to changes show them."""
add_list(router, collection, CustomerCreditParameters, summary="List customer credits")
add_retrieve(router, collection, summary="Retrieve customer credit")

_consumptions: Final = Collection(
    name="customer-credits",
    schema=CustomerCreditConsumption,
    rows=CONSUMPTIONS,
    require=require_user,
)


@router.get(
    "/{uuid}/consumptions/",
    operation_id="customer_credits_consumptions_list",
    summary="List the consumption of a customer credit by month",
    response_model=list[CustomerCreditConsumption],
    **document_read("The months in which the credit paid, in their order.", LIST_HEADERS),
)
async def consumptions(
    request: Request,
    uuid: RecordUuid,
    caller: Authenticated,
    reader: Reading,
    parameters: Annotated[CustomerCreditParameters, Depends(QueryParser(CustomerCreditParameters))],
) -> Response:
    """List the amounts that the credit paid, by the month of the invoice.

    The credit must match the filters. `o` orders credits, not months.
    """
    found = await collection.find(
        reader, caller, uuid, ("uuid",), collection.filter_set(parameters)
    )
    filters = FilterSet(("credit",), {"credit": found["uuid"]})
    paging = parameters.model_copy(update={"o": ()})
    return await _consumptions.list(request, caller, paging, filters)
