"""Labels of the operations in the audit record."""

from typing import Final

LABELS: Final = {
    "invoices_paid": "Marked as paid",
    "invoices_credit": "Credited",
    "invoices_set_backend_id": "Backend ID set",
    "invoices_set_payment_url": "Payment URL set",
    "invoices_set_reference_number": "Reference number set",
    "invoice_items_update": "Item changed",
    "invoice_items_partial_update": "Item changed",
    "invoice_items_destroy": "Item deleted",
    "invoice_items_create_compensation": "Item compensated",
    "invoice_items_migrate_to": "Item moved",
    "invoices_import_usage": "Usage imported",
    "payment_profiles_create": "Payment profile created",
    "payment_profiles_update": "Payment profile changed",
    "payment_profiles_partial_update": "Payment profile changed",
    "payment_profiles_destroy": "Payment profile deleted",
    "payment_profiles_enable": "Payment profile enabled",
    "payments_create": "Payment created",
    "payments_update": "Payment changed",
    "payments_partial_update": "Payment changed",
    "payments_destroy": "Payment deleted",
    "payments_link_to_invoice": "Payment linked to an invoice",
    "payments_unlink_from_invoice": "Payment unlinked from its invoice",
    "customer_credits_create": "Credit created",
    "customer_credits_update": "Credit changed",
    "customer_credits_partial_update": "Credit changed",
    "customer_credits_destroy": "Credit deleted",
    "customer_credits_adjust_withdrawable": "Credit adjusted",
    "customer_credits_apply_compensations": "Compensations applied",
    "customer_credits_clear_compensations": "Compensations cleared",
    "project_credits_create": "Credit created",
    "project_credits_update": "Credit changed",
    "project_credits_partial_update": "Credit changed",
    "project_credits_destroy": "Credit deleted",
    "customer_affiliates_create": "Affiliate created",
    "customer_affiliates_update": "Affiliate changed",
    "customer_affiliates_partial_update": "Affiliate changed",
    "customer_affiliates_destroy": "Affiliate deleted",
    "close_month": "Month closed",
    "freeze_issued": "Document frozen",
    "document_complete": "Document completed",
    "reconcile_totals": "Totals corrected",
    "cancel": "Canceled",
    "pay": "Marked as paid",
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
