"""The two ways in which an attempt to send a delivery fails. The message is stored with it."""


class DeliveryError(Exception):
    """A failed attempt, with its message and the part of the message that may be logged.

    Mail servers often repeat the recipient's address in their replies; addresses are not logged.
    """

    def __init__(self, message: str, logged: str | None = None) -> None:
        super().__init__(message)
        self.logged = message if logged is None else logged


class TemporaryDeliveryError(DeliveryError):
    """The attempt failed, or its outcome is unknown; a later attempt may succeed."""


class PermanentDeliveryError(DeliveryError):
    """No later attempt can succeed."""
