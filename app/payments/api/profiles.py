"""Reads of payment profiles: list, count, retrieve."""

from json import dumps
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from app.api.collections import Collection, add_list, add_retrieve, select_fields
from app.api.pagination import Paging
from app.api.query_parameters import (
    EMPTY_COUNTS,
    QueryBoolean,
    QueryLink,
    QueryUuid,
    choices,
    orders,
)
from app.api.response_format import ResponseFormat
from app.api.sparse_fields import array_of
from app.billing.enums import PaymentType
from app.database.lists import Row
from app.identity.api.authentication import require_user
from app.payments.queries.profiles import PROFILES
from app.payments.schemas import PaymentProfile, PaymentProfileAttributes, PaymentTypeEnum

router = APIRouter(prefix="/api/payment-profiles", tags=["payment-profiles"])

_ORDERS: Final = ("is_active", "name", "payment_type", "-is_active", "-name", "-payment_type")
_DISPLAYED: Final = {
    PaymentTypeEnum.FIXED_PRICE: "Fixed-price contract",
    PaymentTypeEnum.INVOICES: "Monthly invoices",
    PaymentTypeEnum.GATEWAY_MONTHLY: "Payment gateways (monthly)",
}


class PaymentProfileParameters(Paging):
    """The parameters of the list of payment profiles and of its count."""

    is_active: QueryBoolean = Field(default=None, examples=[True])
    """Only active profiles (`true`), or only others (`false`)."""
    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("PaymentProfileOEnum", _ORDERS, style="form", explode=False),
    ] = Field(default=(), examples=[["-is_active", "name"]])
    """Ordering; `-` for descending. Profiles are ordered by name by default."""
    organization: QueryLink = Field(
        default=None,
        examples=["https://api.example.com/api/customers/a1b2c3d4e5f67890abcdef1234567890/"],
    )
    """Profiles of the organization with this URL."""
    organization_uuid: QueryUuid = Field(
        default=None, examples=["a1b2c3d4-e5f6-7890-abcd-ef1234567890"]
    )
    """Profiles of the organization with this UUID."""
    payment_type: Annotated[
        tuple[str, ...],
        choices(PaymentType),
        EMPTY_COUNTS,
        array_of("PaymentTypeEnum", sorted(PaymentType), style="form", explode=True),
    ] = Field(default=(), examples=[["invoices"]])
    """Profiles of any of these types."""


def _documented_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes whose documented ones are texts; null is left out.

    Older releases of Waldur have a number as `contract_sum`, and check none of them.
    """
    known = PaymentProfileAttributes.__annotations__
    return {
        key: value if key not in known or isinstance(value, str) else dumps(value)
        for key, value in attributes.items()
        if key not in known or value is not None
    }


def profile_record(values: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a profile, from the values of its fields."""
    payment_type = PaymentTypeEnum(values["payment_type"])
    return values | {
        "attributes": _documented_attributes(values["attributes"]),
        "payment_type": payment_type,
        "payment_type_display": _DISPLAYED[payment_type],
    }


def _record(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    return profile_record(select_fields(row, fields, response_format))


collection: Final = Collection(
    name="payment-profiles",
    schema=PaymentProfile,
    rows=PROFILES,
    require=require_user,
    record=_record,
)
add_list(router, collection, PaymentProfileParameters, summary="List payment profiles")
add_retrieve(router, collection, summary="Retrieve payment profile")
