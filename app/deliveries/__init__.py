"""Deliveries: one message about one invoice or credit note to one recipient."""
