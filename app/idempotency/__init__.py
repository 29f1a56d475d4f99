"""Idempotency: the response to a request is stored with the change that it reports."""
