"""Reads from replicas that are never older than an answer the same token has had (decision 31)."""
