"""Whom an invoice is addressed to."""
