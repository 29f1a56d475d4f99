"""The operations of customer affiliates. Without CUSTOMER_AFFILIATES nothing is found."""

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from app.api.collections import Collection, RecordUuid, add_list, add_retrieve
from app.api.dependencies import Reading
from app.api.errors import NotFound
from app.api.operation_docs import (
    LIST_HEADERS,
    document_body,
    document_create,
    document_destroy,
    document_errors,
    document_read,
    document_update,
)
from app.api.pagination import Paging
from app.api.query_parameters import QueryBoolean, QueryParser, QueryText, QueryUuid, orders
from app.api.response_format import ResponseFormat
from app.api.sparse_fields import array_of
from app.billing.compensation import withdrawable_balance
from app.credits.actions import change_affiliate as actions
from app.credits.api.bodies import (
    CreateCustomerAffiliateRequest,
    PatchedCreateCustomerAffiliateRequest,
)
from app.credits.queries.affiliates import ACCRUALS, AFFILIATES, EARNINGS
from app.credits.repository.affiliates import lock_affiliate
from app.credits.schemas import (
    AffiliateEarnings,
    AffiliateFeeAccrual,
    CreateCustomerAffiliate,
    CustomerAffiliate,
)
from app.database.filter_set import FilterSet
from app.database.lists import Row
from app.idempotency.api.submission import Submission, resource_of, submission_on, submission_to
from app.identity.api.authentication import require_staff, require_user
from app.identity.caller import Caller

router = APIRouter(prefix="/api/customer-affiliates", tags=["customer-affiliates"])

_NAMES: Final = ("affiliate_name", "created", "customer_name")
_ORDERS: Final = (*_NAMES, *(f"-{name}" for name in _NAMES))
_UUID: Final = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"


async def _switched_on(request: Request) -> None:
    """Raise NotFound unless CUSTOMER_AFFILIATES is on."""
    if not request.app.state.settings.customer_affiliates:
        raise NotFound("Not found.")


async def require_reader(
    _on: Annotated[None, Depends(_switched_on)], caller: Annotated[Caller, Depends(require_user)]
) -> Caller:
    """Admit every user, if affiliates are switched on."""
    return caller


async def require_writer(
    _on: Annotated[None, Depends(_switched_on)], caller: Annotated[Caller, Depends(require_staff)]
) -> Caller:
    """Admit staff, if affiliates are switched on."""
    return caller


class CustomerAffiliateParameters(Paging):
    """The parameters of the list of affiliates and of its count."""

    affiliate_name: QueryText = Field(default=None, examples=["Example"])
    """Links to affiliates whose name contains this text, in any case."""
    affiliate_uuid: QueryUuid = Field(default=None, examples=[_UUID])
    """Links to the affiliate with this UUID."""
    customer_name: QueryText = Field(default=None, examples=["Example"])
    """Links of organizations whose name contains this text, in any case."""
    customer_uuid: QueryUuid = Field(default=None, examples=[_UUID])
    """Links of the organization with this UUID."""
    is_active: QueryBoolean = Field(default=None, examples=[True])
    """Only active links (`true`), or only others (`false`)."""
    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("CustomerAffiliateOEnum", _ORDERS, style="form", explode=True),
    ] = Field(default=(), examples=[["-created"]])
    """Ordering; `-` for descending."""


collection: Final = Collection(
    name="customer-affiliates", schema=CustomerAffiliate, rows=AFFILIATES, require=require_reader
)
add_list(router, collection, CustomerAffiliateParameters, summary="List customer affiliates")
add_retrieve(router, collection, summary="Retrieve customer affiliate")
_accruals: Final = Collection(
    name="customer-affiliates", schema=AffiliateFeeAccrual, rows=ACCRUALS, require=require_reader
)


def _earnings_record(
    row: Row, fields: tuple[str, ...], response_format: ResponseFormat
) -> dict[str, Any]:
    months = [each | {"amount": Decimal(each["amount"])} for each in row["per_month"]]
    return {
        "total_earned": row["total_earned"],
        "withdrawable_balance": withdrawable_balance(row["earned"], row["value"]),
        "per_month": months,
    }


_earnings: Final = Collection(
    name="customer-affiliates",
    schema=AffiliateEarnings,
    rows=EARNINGS,
    require=require_reader,
    record=_earnings_record,
    noun="CustomerAffiliate",
)
Reader = Annotated[Caller, Depends(require_reader)]


@router.get(
    "/{uuid}/accruals/",
    operation_id="customer_affiliates_accruals_list",
    summary="List the fees of a customer affiliate",
    response_model=list[AffiliateFeeAccrual],
    **document_read("The fees, newest first.", LIST_HEADERS),
)
async def accruals(
    request: Request,
    uuid: RecordUuid,
    caller: Reader,
    reader: Reading,
    parameters: Annotated[
        CustomerAffiliateParameters, Depends(QueryParser(CustomerAffiliateParameters))
    ],
) -> Response:
    """List the fees that the affiliate earned from the organization's invoices.

    The link must match the filters. `o` orders links, not fees.
    """
    found = await collection.find(
        reader, caller, uuid, ("uuid",), collection.filter_set(parameters)
    )
    filters = FilterSet(("link",), {"link": found["uuid"]})
    paging = parameters.model_copy(update={"o": ()})
    return await _accruals.list(request, caller, paging, filters)


@router.get(
    "/{uuid}/earnings/",
    operation_id="customer_affiliates_earnings_retrieve",
    summary="Retrieve the earnings of a customer affiliate",
    response_model=AffiliateEarnings,
    **document_read("The fees, in total and by month."),
)
async def earnings(request: Request, uuid: RecordUuid, caller: Reader) -> Response:
    """Retrieve the fees by month, and the withdrawable balance of the affiliate's credit."""
    return await _earnings.retrieve(request, caller, uuid)


_LINKS: Final = resource_of(collection, "customer affiliate", lock_affiliate)
_WRITTEN: Final = replace(
    resource_of(
        replace(collection, schema=CreateCustomerAffiliate), "customer affiliate", lock_affiliate
    ),
    etag=_LINKS.etag,
)
Created = Annotated[Submission[None], Depends(submission_to(_WRITTEN, require_writer))]
Changed = Annotated[
    Submission[Row], Depends(submission_on(_WRITTEN, collection.find, require_writer))
]


_CREATION: Final = document_create(
    "customer affiliate", document_body(CreateCustomerAffiliateRequest)
)
_CREATION["responses"] |= document_errors(404)  # without the setting


@router.post(
    "/",
    operation_id="customer_affiliates_create",
    summary="Create customer affiliate",
    response_model=CreateCustomerAffiliate,
    **_CREATION,
)
async def create(submission: Created) -> Response:
    """Link an organization to an affiliate."""
    return await submission.create(
        CreateCustomerAffiliateRequest,
        lambda connection, body: actions.create_affiliate(
            connection, actions.CreateAffiliate(body.values())
        ),
    )


async def _update(submission: Changed, model: type[CreateCustomerAffiliateRequest]) -> Response:
    return await submission.update(
        model,
        lambda connection, body: actions.update_affiliate(
            connection, actions.UpdateAffiliate(submission.record["uuid"], body.values())
        ),
    )


@router.put(
    "/{uuid}/",
    operation_id="customer_affiliates_update",
    summary="Update customer affiliate",
    response_model=CreateCustomerAffiliate,
    **document_update("customer affiliate", document_body(CreateCustomerAffiliateRequest)),
)
async def update(submission: Changed) -> Response:
    """Change a link. Fields that are absent keep their values."""
    return await _update(submission, CreateCustomerAffiliateRequest)


@router.patch(
    "/{uuid}/",
    operation_id="customer_affiliates_partial_update",
    summary="Update some fields of a customer affiliate",
    response_model=CreateCustomerAffiliate,
    **document_update("customer affiliate", document_body(PatchedCreateCustomerAffiliateRequest)),
)
async def partial_update(submission: Changed) -> Response:
    """Change fields of a link."""
    return await _update(submission, PatchedCreateCustomerAffiliateRequest)


@router.delete(
    "/{uuid}/",
    operation_id="customer_affiliates_destroy",
    summary="Delete customer affiliate",
    **document_destroy(),
)
async def destroy(submission: Changed) -> Response:
    """Delete a link that earned nothing."""
    return await submission.destroy(
        lambda connection: actions.delete_affiliate(
            connection, actions.DeleteAffiliate(submission.record["uuid"])
        )
    )
