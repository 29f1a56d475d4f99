"""The words of billing that are stored and sent as they are."""

from enum import StrEnum


class InvoiceState(StrEnum):
    """The life of an invoice: the running month, issued, settled, withdrawn."""

    PENDING = "pending"
    CREATED = "created"
    PAID = "paid"
    CANCELED = "canceled"


class ImportSource(StrEnum):
    """Where an import took records from, if they have to be told from the service's own."""

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
    """How a customer pays: a fixed price contract, by invoice, or monthly by a payment gateway."""

    FIXED_PRICE = "fixed_price"
    INVOICES = "invoices"
    GATEWAY_MONTHLY = "payment_gw_monthly"


class CustomerRoleName(StrEnum):
    """What a user is to a customer; each of them may read its invoices."""

    OWNER = "owner"
    MANAGER = "manager"
    SUPPORT = "support"
    READER = "reader"


class DeliveryState(StrEnum):
    """The life of a notification to one recipient."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
