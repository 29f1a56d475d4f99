"""What became of an invoice, and who made it so: for staff and support."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.caching.conditional_get import Answers
from app.api.openapi import LIST_HEADERS, validated
from app.api.query_parameters import FromQuery
from app.identity.api.authentication import StaffOrSupport
from app.invoices.api.filters import HistoryParameters, MomentParameters, NamedInvoice
from app.invoices.api.router import InvoiceUuid
from app.invoices.queries.history import InvoiceAtMoment, InvoiceHistory
from app.invoices.rendering.versions import VersionHistory

router = APIRouter(prefix="/api/invoices", tags=["invoices"])

HistoryAsked = Annotated[HistoryParameters, Depends(FromQuery(HistoryParameters))]
MomentAsked = Annotated[MomentParameters, Depends(FromQuery(MomentParameters, hidden=NamedInvoice))]


@router.get(
    "/{uuid}/history/",
    operation_id="invoices_history_list",
    summary="Get version history",
    response_model=list[VersionHistory],
    **validated("A page of the list, newest first.", LIST_HEADERS),
)
@router.head("/{uuid}/history/", include_in_schema=False)
async def list_history(
    uuid: InvoiceUuid, caller: StaffOrSupport, parameters: HistoryAsked, request: Request
) -> Response:
    """Tell what became of one invoice. Only accessible by staff and support users.

    `serialized_data` has the invoice as it then was and, as `changes`, what led there: fields of
    the invoice as `[was, became]`, up to a hundred items and as many payments, and their numbers.
    """
    answers = Answers(request)
    return await answers.to(InvoiceHistory(answers, caller, uuid, parameters))


@router.get(
    "/{uuid}/history/at/",
    operation_id="invoices_history_at_retrieve",
    summary="Get object state at a specific timestamp",
    response_model=VersionHistory,
    **validated("The newest version at or before the time."),
)
@router.head("/{uuid}/history/at/", include_in_schema=False)
async def retrieve_version(
    uuid: InvoiceUuid, caller: StaffOrSupport, parameters: MomentAsked, request: Request
) -> Response:
    """Get one invoice as it was at the specified timestamp.

    Only accessible by staff and support users. `serialized_data` has all `items` and `payments` of
    then as well; they are null where the record does not reach back to them.
    """
    answers = Answers(request)
    return await answers.to(InvoiceAtMoment(answers, caller, uuid, parameters))
