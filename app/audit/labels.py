"""What an entry did, in words."""

from typing import Final

LABELS: Final = {
    "invoices_paid": "Marked as paid",
    "invoices_set_backend_id": "Backend ID set",
    "invoices_set_payment_url": "Payment URL set",
    "invoices_set_reference_number": "Reference number set",
    "close_month": "Month closed",
    "reconcile_totals": "Totals mended",
    "cancel": "Canceled",
    "import": "Imported",
    "import_focus": "Imported from a FOCUS cost export",
    "import_waldur": "Imported from a Waldur",
    "set_currency": "Rounded to the decimals of the currency",
    "demo": "Made for the demonstration",
    "audit_adopt": "Adopted into the record",
}
"""By the operation of the author."""


def describe(operation: str, comment: str) -> str:
    """Tell what was done, with the author's comment where there is one."""
    words = LABELS.get(operation, operation)
    return f"{words}: {comment}" if comment else f"{words}."
