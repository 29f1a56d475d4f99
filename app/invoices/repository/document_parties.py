"""The values of a document that come from the settings and the customer, not from the invoice."""

from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, case, func, not_, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from app.customers.models import Customer
from app.database.statements import constant, json_object
from app.payments.models import PaymentProfile

_BUYER: Final = (
    "name",
    "vat_code",
    "registration_code",
    "registration_scheme",
    "endpoint",
    "endpoint_scheme",
    "address",
    "city",
    "postal",
    "country",
    "contact_name",
    "phone_number",
    "email",
    "bank_name",
    "bank_account",
)
"""The keys of a document's buyer: columns of customers."""
_TAX_TERMS: Final = ("tax_category", "tax_exemption_code", "tax_exemption_reason")
_REFERENCES: Final = ("buyer_reference", "order_reference")
"""The keys of a document that are columns of customers, too, like those before."""
agreement_number: Final[ColumnElement[str]] = func.coalesce(
    func.nullif(Customer.agreement_number, constant("")),
    select(PaymentProfile.attributes["agreement_number"].astext)
    .where(PaymentProfile.customer_id == Customer.id, PaymentProfile.is_active)
    .correlate(Customer)
    .scalar_subquery(),
    constant(""),
)
"""The agreement of a customer: its own, else that of its active payment profile."""


def values_of_parties(
    tax_percent: ColumnElement[Any], is_late: ColumnElement[bool]
) -> dict[str, ColumnElement[Any]]:
    """Return the keys of a document, in a statement that has the customer and `seller`.

    Of an invoice that was issued earlier, a tax category of today that does not belong to the tax
    that was charged is left out.
    """
    customer = Customer.__table__.c
    # S alone is taxed: rules BR-S-05 and BR-Z-05, and those of the other categories.
    is_taxed = customer.tax_category == constant("S")
    fits = or_(customer.tax_category == constant(""), is_taxed == (tax_percent > 0))
    tax_terms = {
        name: case((or_(not_(is_late), fits), customer[name]), else_=constant(""))
        for name in _TAX_TERMS
    }
    return {
        **tax_terms,
        **{name: customer[name] for name in _REFERENCES},
        "agreement_number": agreement_number,
        "seller": bindparam("seller", type_=JSONB),
        "buyer": json_object({name: customer[name] for name in _BUYER}),
    }
