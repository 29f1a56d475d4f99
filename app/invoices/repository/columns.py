"""The columns behind the documented fields of an invoice."""

from collections.abc import Sequence
from typing import Any

from app.customers.models import Customer
from app.database.statements import AnySelect
from app.invoices.models import Invoice

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
_COLUMNS: dict[str, tuple[Any, ...]] = {
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
    "customer_details": _ADDRESS,
    "backend_id": (Invoice.backend_id,),
    "payment_url": (Invoice.payment_url,),
    "reference_number": (Invoice.reference_number,),
    "compensations": (Invoice.compensations,),
    "incurred_costs": (Invoice.incurred_costs,),
}
_CUSTOMER_FIELDS = frozenset({"customer", "customer_details"})


def columns_of(fields: Sequence[str]) -> tuple[Any, ...]:
    """Return the columns of an invoice and its customer behind the fields, without repetition."""
    columns = {column.key: column for field in fields for column in _COLUMNS.get(field, ())}
    return tuple(columns.values())


def join_customer(statement: AnySelect, fields: Sequence[str]) -> AnySelect:
    """Return a select of invoices, joined with their customers if a field needs that."""
    if _CUSTOMER_FIELDS.isdisjoint(fields):
        return statement.select_from(Invoice)
    return statement.join(Customer, Customer.id == Invoice.customer_id)
