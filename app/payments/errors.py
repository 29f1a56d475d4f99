"""Errors of payments and payment profiles. The messages are part of the documented API."""

from app.domain_errors import InvalidField, NotFound, RuleViolation, WrongState


class PaymentNotFound(NotFound):
    """The payment does not exist."""

    def __init__(self) -> None:
        super().__init__("No Payment matches the given query.")


class ProfileNotFound(NotFound):
    """The payment profile does not exist."""

    def __init__(self) -> None:
        super().__init__("No PaymentProfile matches the given query.")


class ProfileInUse(WrongState):
    """A payment profile with payments cannot be deleted."""

    def __init__(self) -> None:
        super().__init__("The payment profile has payments. Make it inactive instead.")


class OrganizationFixed(InvalidField):
    """A payment that is linked to an invoice stays with the invoice's organization."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "Payments that are linked to an invoice keep their organization.")


class NegativeSum(InvalidField):
    """Only a payment of an invoice in the customer's favour is negative."""

    def __init__(self) -> None:
        super().__init__("sum", "Ensure this value is greater than or equal to 0.")


class AlreadyLinked(RuleViolation):
    """The payment is linked to an invoice."""

    def __init__(self) -> None:
        super().__init__("Link to an invoice exists.")


class NotLinked(RuleViolation):
    """The payment is not linked to an invoice."""

    def __init__(self) -> None:
        super().__init__("Link to an invoice does not exist.")
