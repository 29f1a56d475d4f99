"""The endpoint group /api/invoices/."""
