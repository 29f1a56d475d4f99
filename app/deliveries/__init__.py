"""Deliveries: one message about one invoice to one recipient."""
