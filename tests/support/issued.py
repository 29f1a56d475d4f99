"""Issued invoices whose documents can be written in every profile."""

from typing import Any, Final

from app.billing.enums import InvoiceState
from app.settings import IssuerDetails, Settings
from tests.support.documents import BUYER, SELLER
from tests.support.factories import Factories, Row

ISSUER: Final = IssuerDetails.model_validate(
    {name: getattr(SELLER, name) for name in SELLER.__dataclass_fields__ if getattr(SELLER, name)}
)
COMPLETE: Final[dict[str, Any]] = {
    name: getattr(BUYER, name) for name in BUYER.__dataclass_fields__ if getattr(BUYER, name)
} | {"country": "DE", "buyer_reference": "04011000-12345-67", "registration_scheme": ""}
"""The values of a customer who has all that a profile requires."""


def issuing(settings: Settings) -> Settings:
    """Return settings with the details of an issuer who has all that a profile requires."""
    return settings.model_copy(update={"issuer_details": ISSUER})


async def issue_invoice(
    make: Factories,
    settings: Settings,
    *unit_prices: str,
    customer: Row | None = None,
    **values: Any,
) -> Row:
    """Insert an issued invoice with an item for each price, and freeze it."""
    owner = customer or await make.customer(**COMPLETE)
    invoice = await make.invoice(owner, state=InvoiceState.CREATED, **values)
    await make.items(invoice, *(unit_prices or ("10",)))
    await make.freeze(issuing(settings), invoice)
    return invoice
