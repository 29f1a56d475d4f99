"""Jobs on many invoices, each safe to run twice."""
