"""The records that the API of credit notes sends."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field, with_config
from typing_extensions import TypedDict

from app.api.schema_config import DOCUMENTED
from app.api.serializers import URI, AmountString, WireUuid, amount_schema, link


@with_config(DOCUMENTED)
class CreditNote(TypedDict):
    """A document that gives back all or a part of an issued invoice."""

    uuid: WireUuid
    url: Annotated[UUID, link("credit-notes"), URI]
    number: int
    """Credit notes are counted from 1, without gaps."""
    printed_number: Annotated[str, Field(examples=["CN-1"])]
    """The number as documents show it."""
    issue_date: date
    reason: str
    price: Annotated[AmountString, amount_schema(20)]
    """The sum that is given back, without tax."""
    tax: Annotated[AmountString, amount_schema(20)]
    total: Annotated[AmountString, amount_schema(20)]
    """The sum with tax."""
    invoice: Annotated[UUID, link("invoices"), URI]
    invoice_uuid: WireUuid
    invoice_number: int
    customer: Annotated[UUID, link("customers", platform=True), URI]
    customer_uuid: WireUuid
