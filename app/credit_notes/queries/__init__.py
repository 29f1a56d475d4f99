"""Reads of credit notes."""
