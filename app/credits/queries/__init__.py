"""Reads of credits and their ledger."""
