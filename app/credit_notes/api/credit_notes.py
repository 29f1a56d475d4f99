"""Reads of credit notes: list, count, retrieve."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from app.api.collections import Collection, add_list, add_retrieve, select_fields
from app.api.pagination import Paging
from app.api.query_parameters import QueryDate, QueryInteger, QueryUuid, orders
from app.api.response_format import ResponseFormat
from app.api.sparse_fields import array_of
from app.billing import money
from app.credit_notes.queries.credit_notes import CREDIT_NOTES
from app.credit_notes.schemas import CreditNote
from app.database.lists import Row
from app.documents.document import print_credit_note_number
from app.identity.api.authentication import require_user

router = APIRouter(prefix="/api/credit-notes", tags=["credit-notes"])

_ORDERS: Final = ("-issue_date", "-number", "-total", "issue_date", "number", "total")
_UUID: Final = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"


class CreditNoteParameters(Paging):
    """The parameters of the list of credit notes and of its count."""

    customer_uuid: QueryUuid = Field(default=None, examples=[_UUID])
    """Credit notes of the customer with this UUID."""
    end_date: QueryDate = Field(default=None, examples=["2026-12-01"])
    """Issued before this date."""
    invoice_uuid: QueryUuid = Field(default=None, examples=[_UUID])
    """Credit notes of the invoice with this UUID."""
    issue_date: QueryDate = Field(default=None, examples=["2026-11-15"])
    """Issued on this date."""
    number: QueryInteger = Field(default=None, examples=[1])
    """The credit note with this number."""
    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("CreditNoteOEnum", _ORDERS, style="form", explode=False),
    ] = Field(default=(), examples=[["-issue_date"]])
    """Ordering; `-` for descending. The newest credit notes come first by default."""
    start_date: QueryDate = Field(default=None, examples=["2026-10-31"])
    """Issued after this date."""


def _record(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    amounts = {
        name: money.round_half_even(row[name], response_format.currency)
        for name in ("price", "tax", "total")
    }
    number = print_credit_note_number(row["number"])
    return select_fields(row, fields, response_format) | amounts | {"printed_number": number}


collection: Final = Collection(
    name="credit-notes",
    schema=CreditNote,
    rows=CREDIT_NOTES,
    require=require_user,
    record=_record,
)
add_list(router, collection, CreditNoteParameters, summary="List credit notes")
add_retrieve(router, collection, summary="Retrieve credit note")
