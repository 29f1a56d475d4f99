"""The sums of the invoices of a month."""

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import TypeAdapter

from app.api.caching.conditional_get import ConditionalGet, Representation, Resource
from app.api.operation_docs import document_read
from app.api.query_parameters import QueryParser
from app.database.lists import Row
from app.identity.api.authentication import Authenticated
from app.reports.api.parameters import TotalCostParameters, total_cost_filters
from app.reports.queries.total_cost import read_total_cost
from app.reports.schemas import TotalCustomerCost

router = APIRouter(prefix="/api/billing-total-cost", tags=["billing-total-cost"])

_adapter: Final = TypeAdapter(TotalCustomerCost)


@router.get(
    "/",
    operation_id="billing_total_cost_retrieve",
    summary="Sum up the invoices of a month",
    response_model=TotalCustomerCost,
    **document_read("The sums."),
)
@router.head("/", include_in_schema=False)
async def retrieve_total_cost(
    request: Request,
    caller: Authenticated,
    parameters: Annotated[TotalCostParameters, Depends(QueryParser(TotalCostParameters))],
) -> Response:
    """Return the sums of a month's invoices in any state, with tax and without, not rounded.

    Staff and support get those of all organizations, users with a role at organizations those of
    these, others zeros.
    """

    def represent(row: Row) -> Representation:
        cost = TotalCustomerCost(total=row["total"], price=row["price"])
        return Representation.of_body(_adapter.dump_json(cost))

    filters = total_cost_filters(parameters)
    select = partial(read_total_cost, caller=caller, filters=filters)
    return await ConditionalGet(request).respond(Resource(select, represent))
