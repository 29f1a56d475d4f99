"""Errors of invoices. The messages are part of the documented API."""

from collections.abc import Collection

from app.billing.enums import InvoiceState
from app.billing.periods import Period
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


class ItemNotFound(NotFound):
    """The item does not exist, or the caller may not see it."""

    def __init__(self) -> None:
        super().__init__("No InvoiceItem matches the given query.")


class IssuedInvoiceChange(WrongState):
    """An invoice does not change after it was issued or canceled."""

    def __init__(self, state: InvoiceState) -> None:
        super().__init__(
            f"The invoice of this item is {state} and does not change. To give its price back,"
            " create a compensation of the item, or a credit note."
        )


class ClosedTarget(WrongState):
    """An item cannot be added to an invoice that was issued or canceled."""

    def __init__(self, period: Period, state: InvoiceState) -> None:
        super().__init__(
            f"The invoice of {period.year}-{period.month:02} is {state} and takes no more items."
            " Add them to an invoice that is not issued, or create a credit note."
        )


class ItemOfCredit(WrongState):
    """An item by which a credit paid changes with the credit only."""

    def __init__(self) -> None:
        super().__init__(
            "A customer credit paid by this item. To take it back, clear the compensations of the"
            " credit."
        )


class NegativeUnitPrice(RuleViolation):
    """An item that gives money back cannot be compensated."""

    def __init__(self) -> None:
        super().__init__("Can not create compensation for invoice item with negative unit price.")


class OtherCustomer(RuleViolation):
    """Items stay on invoices of their customer."""

    def __init__(self) -> None:
        super().__init__("Moving of items is possible only between invoices of same the customer.")


class SameInvoice(RuleViolation):
    """The item is on the invoice that it is to be moved to."""

    def __init__(self) -> None:
        super().__init__("The item is on this invoice already.")


class TotalTooLarge(RuleViolation):
    """An invoice's total has at most twenty digits before the point."""

    def __init__(self) -> None:
        super().__init__("The total of the invoice would have more than 20 digits.")


class OtherCustomersInvoice(RuleViolation):
    """The invoice is of another customer than the payment."""

    def __init__(self) -> None:
        super().__init__("The passed invoice does not belong to the selected customer.")


class NotIssued(WrongState):
    """Only an issued invoice has a document."""

    def __init__(self, number: int) -> None:
        super().__init__(f"Invoice {number} is not issued: it has no document yet.")
