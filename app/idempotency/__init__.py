"""Retries that are safe: the answer to a request is kept with the change that it reports."""
