"""How a delivery may fail; the message of each is kept with it, for a person to read."""


class TemporaryFailure(Exception):
    """This attempt failed, or its end was never heard: a later one may succeed."""


class PermanentFailure(Exception):
    """No later attempt can succeed."""
