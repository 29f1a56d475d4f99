"""Errors of idempotency keys. The messages are part of the documented API."""

from app.domain_errors import InvalidArgument, RequestInProgress


class KeyReused(InvalidArgument):
    """The key was already used with a different request."""

    def __init__(self) -> None:
        super().__init__("Idempotency-Key was already used with a different request.")


class KeyInUse(RequestInProgress):
    """The first request with the key has not finished."""

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is still in progress.")
