"""The audit record: every change of an invoice, its items and its payments, and its actor."""
