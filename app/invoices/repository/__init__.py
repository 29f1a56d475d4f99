"""The statements about invoices and their items: the only place that writes these tables."""
