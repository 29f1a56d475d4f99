"""The enumerations of billing. Their values are stored and sent unchanged."""

from enum import StrEnum
from typing import Final


class InvoiceState(StrEnum):
    """The state of an invoice: of the current month, of a past one, issued, settled, withdrawn."""

    PENDING = "pending"
    PENDING_FINALIZATION = "pending_finalization"
    CREATED = "created"
    PAID = "paid"
    CANCELED = "canceled"


UNISSUED: Final = (InvoiceState.PENDING, InvoiceState.PENDING_FINALIZATION)
"""The states of an invoice before it is issued."""


class ImportSource(StrEnum):
    """The source of imported records that must be distinguished from the service's own."""

    FOCUS = "focus"


class BillingUnit(StrEnum):
    """The unit to which an item's unit price applies."""

    MONTH = "month"
    QUARTER = "quarter"
    HALF_MONTH = "half_month"
    DAY = "day"
    HOUR = "hour"
    QUANTITY = "quantity"


class BillingType(StrEnum):
    """How an offering component is charged."""

    FIXED = "fixed"
    USAGE = "usage"
    LIMIT = "limit"
    ONE_TIME = "one"
    ON_PLAN_SWITCH = "few"


class PaymentType(StrEnum):
    """How a customer pays: by fixed price contract, by invoice, or monthly by payment gateway."""

    FIXED_PRICE = "fixed_price"
    INVOICES = "invoices"
    GATEWAY_MONTHLY = "payment_gw_monthly"


class CustomerRoleName(StrEnum):
    """The role of a user at a customer; every role may read the customer's invoices."""

    OWNER = "owner"
    MANAGER = "manager"
    SUPPORT = "support"
    READER = "reader"


class ProjectRoleName(StrEnum):
    """The role of a user in a project; every role may read the same."""

    ADMIN = "admin"
    MANAGER = "manager"
    MEMBER = "member"


class DeliveryState(StrEnum):
    """The state of a notification to one recipient."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


class MinimalConsumptionLogic(StrEnum):
    """How the expected consumption of a credit changes from month to month."""

    FIXED = "fixed"
    LINEAR = "linear"


class CreditTransactionType(StrEnum):
    """The cause of a movement in the ledger of credits."""

    STAFF_GRANT = "staff_grant"
    COMPENSATION = "compensation"
    MINIMAL_DRAW = "minimal_draw"
    """A part of the minimal consumption that was not used is forfeited."""
    AFFILIATE_FEE = "affiliate_fee"
    TRANSFER_IN = "transfer_in"
    TRANSFER_OUT = "transfer_out"
    PAYOUT = "payout"
    EXPIRY = "expiry"
    ROLLBACK = "rollback"
    """Compensations of an invoice were given back."""
    ADJUSTMENT = "adjustment"
    WITHDRAWABLE_ADJUSTMENT = "withdrawable_adjustment"


EARNED: Final = (
    CreditTransactionType.AFFILIATE_FEE,
    CreditTransactionType.TRANSFER_IN,
    CreditTransactionType.TRANSFER_OUT,
    CreditTransactionType.PAYOUT,
    CreditTransactionType.WITHDRAWABLE_ADJUSTMENT,
)
"""The movements whose sum is the withdrawable part of a credit."""
