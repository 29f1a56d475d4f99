"""Payments, their proofs, and how customers pay."""
