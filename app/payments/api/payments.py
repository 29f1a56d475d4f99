"""Reads of payments: list, count, retrieve."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import Field

from app.api.collections import Collection, add_list, add_retrieve, select_fields
from app.api.pagination import Paging
from app.api.query_parameters import QueryDate, QueryLink, QueryUuid
from app.api.response_format import ResponseFormat
from app.billing import money
from app.database.lists import Row
from app.identity.api.authentication import require_user
from app.payments.queries.payments import PAYMENTS
from app.payments.schemas import Payment

router = APIRouter(prefix="/api/payments", tags=["payments"])


class PaymentParameters(Paging):
    """The parameters of the list of payments and of its count."""

    date_of_payment: QueryDate = Field(default=None, examples=["2026-11-15"])
    """Payments of this date."""
    profile: QueryLink = Field(
        default=None,
        examples=["https://api.example.com/api/payment-profiles/a1b2c3d4e5f67890abcdef1234567890/"],
    )
    """Payments with the payment profile that has this URL."""
    profile_uuid: QueryUuid = Field(default=None, examples=["a1b2c3d4-e5f6-7890-abcd-ef1234567890"])
    """Payments with the payment profile that has this UUID."""


def _record(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    amount = money.round_half_even(row["sum"], response_format.currency)
    return select_fields(row, fields, response_format) | {"sum": amount}


collection: Final = Collection(
    name="payments", schema=Payment, rows=PAYMENTS, require=require_user, record=_record
)
add_list(router, collection, PaymentParameters, summary="List payments")
add_retrieve(router, collection, summary="Retrieve payment")
