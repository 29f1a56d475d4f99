"""Labels of the operations in the audit record."""

from typing import Final

LABELS: Final = {
    "invoices_paid": "Marked as paid",
    "invoices_set_backend_id": "Backend ID set",
    "invoices_set_payment_url": "Payment URL set",
    "invoices_set_reference_number": "Reference number set",
    "invoice_items_update": "Item changed",
    "invoice_items_partial_update": "Item changed",
    "invoice_items_destroy": "Item deleted",
    "invoice_items_create_compensation": "Item compensated",
    "invoice_items_migrate_to": "Item moved",
    "invoices_import_usage": "Usage imported",
    "close_month": "Month closed",
    "reconcile_totals": "Totals corrected",
    "cancel": "Canceled",
    "import": "Imported",
    "import_focus": "Imported from a FOCUS cost export",
    "import_waldur": "Imported from a Waldur",
    "set_currency": "Rounded to the decimals of the currency",
    "demo": "Made for the demonstration",
    "audit_adopt": "Adopted into the record",
}
"""The label of each operation."""


def describe(operation: str, comment: str) -> str:
    """Return the label of an operation, with the comment if there is one."""
    label = LABELS.get(operation, operation)
    return f"{label}: {comment}" if comment else f"{label}."
