"""The documents of invoices as the API sends them."""
