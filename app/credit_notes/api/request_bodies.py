"""The request body that credits an invoice."""

from decimal import Decimal
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import Field, model_validator

from app.api.body_fields import Text, Uuid
from app.api.body_numbers import AmountNumber, DecimalNumber
from app.api.request_model import FieldError, RequestModel

_REASON: Final = Text(1000)


class CreditItemRequest(RequestModel):
    """A part of an item; all that is left of the item without a quantity and a price."""

    uuid: Annotated[UUID, Uuid()]
    """The UUID of the item."""
    quantity: Annotated[Decimal | None, DecimalNumber(22, 10)] = None
    """The quantity to give back, with the sign of the item's."""
    price: Annotated[Decimal | None, AmountNumber(22)] = None
    """The sum to give back without tax, with the sign of the item's price."""

    @model_validator(mode="after")
    def _has_one_measure(self) -> Self:
        if self.quantity is not None and self.price is not None:
            raise FieldError("Give the quantity or the price, not both.")
        return self


class CreditRequest(RequestModel):
    """What to give back of an invoice, and why."""

    reason: Annotated[str, _REASON]
    """Printed on the credit note."""
    items: Annotated[list[CreditItemRequest] | None, Field(min_length=1)] = None
    """The items to give back; all that is left of the invoice without them."""


class CreditRequestForm(RequestModel):
    """Why all that is left of an invoice is given back. Forms have no items."""

    reason: Annotated[str, _REASON]
    """Printed on the credit note."""
