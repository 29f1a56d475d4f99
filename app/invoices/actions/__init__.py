"""Changes of an invoice, each one transaction without HTTP."""
