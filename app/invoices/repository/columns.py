"""The columns behind the documented fields of an invoice."""

from typing import Any, Final

from sqlalchemy import case, select

from app.customers.models import Customer
from app.invoices.models import (
    Invoice,
    InvoiceDocument,
    LinesRepresentation,
    ReferenceRevision,
)

_ADDRESS = (
    Customer.name,
    Customer.address,
    Customer.country,
    Customer.email,
    Customer.postal,
    Customer.phone_number,
    Customer.bank_name,
    Customer.bank_account,
    Customer.vat_code,
)
_references: Final = case(
    (
        Invoice.document_version.is_(None),
        select(ReferenceRevision.revision).scalar_subquery(),
    ),
    else_=select(ReferenceRevision.restored).scalar_subquery(),
)
_frozen: Final = InvoiceDocument.content["api"]
FROZEN_CUSTOMER: Final = "frozen_customer"
FROZEN_ISSUER: Final = "frozen_issuer"
"""The details in the document of a frozen invoice; null of another one."""
VERSION: Final = "version"
"""The key of an invoice, its revision, the version of its document, and the state of the other
records that it shows."""
STORED_LINES: Final = "stored_lines"
"""The first part of the stored representation of the lines."""
STORED_HEAD: Final = "stored_head"
"""The stored representation of the fields that are frozen, besides the lines."""
LIVE_FIELDS: Final = ("state", "backend_id", "payment_url", "reference_number")
"""The fields of a frozen invoice that may still change."""
IDENTITY: Final = "identity"
"""The columns of a `FoundInvoice`, besides those of the version."""

COLUMNS: Final[dict[str, tuple[Any, ...]]] = {
    VERSION: (
        Invoice.id,
        Invoice.revision,
        Invoice.document_version,
        _references.label("references"),
    ),
    IDENTITY: (Invoice.uuid, Invoice.customer_id, Invoice.state, Invoice.tax_percent),
    STORED_LINES: (LinesRepresentation.body, LinesRepresentation.is_last),
    STORED_HEAD: (LinesRepresentation.head,),
    "url": (Invoice.uuid,),
    "uuid": (Invoice.uuid,),
    "number": (Invoice.number,),
    "customer": (Customer.uuid.label("customer"),),
    "price": (Invoice.total_price,),
    "tax": (Invoice.total_price, Invoice.tax_percent),
    "total": (Invoice.total_price, Invoice.tax_percent),
    "state": (Invoice.state,),
    "year": (Invoice.year,),
    "month": (Invoice.month,),
    "invoice_date": (Invoice.invoice_date,),
    "due_date": (Invoice.due_date,),
    "issuer_details": (_frozen["issuer_details"].astext.label(FROZEN_ISSUER),),
    "customer_details": (*_ADDRESS, _frozen["customer_details"].label(FROZEN_CUSTOMER)),
    "backend_id": (Invoice.backend_id,),
    "payment_url": (Invoice.payment_url,),
    "reference_number": (Invoice.reference_number,),
    "compensations": (Invoice.compensations,),
    "incurred_costs": (Invoice.incurred_costs,),
}
