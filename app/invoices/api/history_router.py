"""What became of an invoice, and who made it so: for staff and support."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.caching.conditional_get import Answers
from app.api.operation_docs import LIST_HEADERS, document_read
from app.api.query_parameters import QueryParser
from app.identity.api.authentication import StaffOrSupport
from app.invoices.api.filters import HistoryParameters, MomentParameters, NamedInvoice
from app.invoices.api.router import InvoiceUuid
from app.invoices.queries.history import InvoiceAtMoment, InvoiceHistory
from app.invoices.rendering.versions import VersionHistory

router = APIRouter(prefix="/api/invoices", tags=["invoices"])

HistoryAsked = Annotated[HistoryParameters, Depends(QueryParser(HistoryParameters))]
MomentAsked = Annotated[
    MomentParameters, Depends(QueryParser(MomentParameters, hidden=NamedInvoice))
]


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
    answers = Answers(request)
    return await answers.to(InvoiceHistory(answers, caller, uuid, parameters))


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
    answers = Answers(request)
    return await answers.to(InvoiceAtMoment(answers, caller, uuid, parameters))
