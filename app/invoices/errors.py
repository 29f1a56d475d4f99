"""Errors of invoices. The messages are part of the documented API."""

from collections.abc import Collection

from app.billing.enums import InvoiceState
from app.domain_errors import NotFound, RuleViolation, WrongState


class InvoiceNotFound(NotFound):
    """The invoice does not exist, the caller may not see it, or the filters exclude it."""

    def __init__(self) -> None:
        super().__init__("No Invoice matches the given query.")


class VersionNotFound(NotFound):
    """The invoice has no version of the requested time."""

    def __init__(self) -> None:
        super().__init__("There is no version of this invoice at or before this time.")


class WrongInvoiceState(WrongState):
    """The invoice's state does not allow the action."""

    def __init__(self, valid: Collection[InvoiceState]) -> None:
        self.valid = valid
        names = ", ".join(state.replace("_", " ").capitalize() for state in valid)
        super().__init__(f"Valid states for operation: {names}.")


class NotificationNotAllowed(RuleViolation):
    """Only the notification of a created invoice can be sent."""

    def __init__(self) -> None:
        super().__init__("Notification only for the created invoice can be sent.")


class NoActiveProfile(RuleViolation):
    """The customer has no active payment profile, which a payment needs."""

    def __init__(self) -> None:
        super().__init__("The active profile for this customer does not exist.")


class MissingReason(RuleViolation):
    """The cancellation of an invoice needs a reason."""

    def __init__(self) -> None:
        super().__init__("A reason is needed.")
