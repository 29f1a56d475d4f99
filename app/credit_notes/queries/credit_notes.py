"""The list of credit notes."""

from typing import Final

from sqlalchemy import Date

from app.credit_notes.models import CreditNote
from app.customers.models import Customer
from app.database.filter_set import equals, literal_parameter
from app.database.lists import Join, RowList
from app.identity.access import visible_customers
from app.identity.visible_rows import VisibleRows
from app.invoices.models import Invoice

CREDIT_NOTES: Final = VisibleRows(
    RowList(
        table=CreditNote,
        uuid=CreditNote.uuid,
        columns={
            "uuid": CreditNote.uuid,
            "url": CreditNote.uuid,
            "number": CreditNote.number,
            "printed_number": CreditNote.number,
            "issue_date": CreditNote.issue_date,
            "reason": CreditNote.reason,
            "price": CreditNote.net,
            "tax": CreditNote.gross - CreditNote.net,
            "total": CreditNote.gross,
            "invoice": Invoice.uuid,
            "invoice_uuid": Invoice.uuid,
            "invoice_number": Invoice.number,
            "customer": Customer.uuid,
            "customer_uuid": Customer.uuid,
        },
        joins=(
            Join(Invoice, Invoice.id == CreditNote.invoice_id),
            Join(Customer, Customer.id == Invoice.customer_id),
        ),
        conditions={
            "customer_uuid": equals(Customer.uuid, "customer_uuid"),
            "end_date": CreditNote.issue_date < literal_parameter("end_date", Date()),
            "invoice_uuid": equals(Invoice.uuid, "invoice_uuid"),
            "issue_date": equals(CreditNote.issue_date, "issue_date"),
            "number": equals(CreditNote.number, "number"),
            "start_date": CreditNote.issue_date > literal_parameter("start_date", Date()),
        },
        orders={
            "issue_date": CreditNote.issue_date,
            "number": CreditNote.number,
            "total": CreditNote.gross,
        },
        default_order=("-number",),
        visible=lambda scope: visible_customers(Invoice.customer_id, scope),
    )
)
"""Newest first."""
