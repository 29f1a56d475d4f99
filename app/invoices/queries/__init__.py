"""Reads of invoices: list, detail, items, stats, growth and history."""
