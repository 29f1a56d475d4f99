"""Notifications about invoices: rendering and sending."""
