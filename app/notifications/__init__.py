"""Messages about invoices: recipients, templates, delivery over SMTP."""
