"""Reads of payments and payment profiles."""
