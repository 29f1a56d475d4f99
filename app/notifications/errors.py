"""How a delivery may fail; the message of each is kept with it, for a person to read."""


class DeliveryError(Exception):
    """What both have: a message, and what of it the log may have.

    Mail servers like to repeat the address in what they answer, and addresses are not logged.
    """

    def __init__(self, message: str, logged: str | None = None) -> None:
        super().__init__(message)
        self.logged = message if logged is None else logged


class TemporaryDeliveryError(DeliveryError):
    """This attempt failed, or its end was never heard: a later one may succeed."""


class PermanentDeliveryError(DeliveryError):
    """No later attempt can succeed."""
