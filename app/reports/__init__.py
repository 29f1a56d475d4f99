"""Reports: the finances of customers, sums of a month, and files of its invoices."""
