"""Endpoints of credits and their ledger."""
