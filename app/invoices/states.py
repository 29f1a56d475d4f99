"""The states of an invoice: the one table of what each state allows.

    pending                                 --end-month->  pending_finalization
    pending, pending_finalization           --issue----->  created, or paid if nothing is to be paid
    created                                 --pay------->  paid
    created                                 --credit---->  canceled if nothing is left of its items,
                                                           paid if nothing is left to be paid
    pending, pending_finalization, created  --cancel---->  canceled

The month of an invoice ends in pending_finalization where it waits for late usage, for
FINALIZATION_GRACE_HOURS. An invoice also returns to pending: an import of a cost export adopts one
that was issued without items and brings its charges.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from app.billing.enums import UNISSUED, InvoiceState


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state by one action."""

    valid: tuple[InvoiceState, ...]
    """The states in which the action is allowed."""
    to: InvoiceState


OPENED: Final = InvoiceState.PENDING
"""The state of a new invoice."""
CHANGEABLE: Final = UNISSUED
"""The states in which an invoice's items may change, and it waits to be issued."""

END_MONTH: Final = Transition((OPENED,), InvoiceState.PENDING_FINALIZATION)
ISSUE: Final = Transition(CHANGEABLE, InvoiceState.CREATED)
ISSUE_AS_PAID: Final = Transition(ISSUE.valid, InvoiceState.PAID)
"""Nothing is to be paid, or a fixed price contract covers it."""
PAY: Final = Transition((InvoiceState.CREATED,), InvoiceState.PAID)
CANCEL: Final = Transition((*CHANGEABLE, InvoiceState.CREATED), InvoiceState.CANCELED)

ISSUED: Final = (ISSUE.to, ISSUE_AS_PAID.to)
"""The states of an invoice that its customer has received."""
CREDITABLE: Final = ISSUED
"""The states in which credit notes give back parts of the invoice."""
UNSETTLED: Final = CANCEL.valid
"""The states in which the total is still to be paid."""


def notifiable_states(total: Decimal) -> tuple[InvoiceState, ...]:
    """Return the states in which the customer may be notified of an invoice with this total.

    One of zero becomes paid when it is issued; its notification shows that credits paid for it.
    """
    return ISSUED if total == 0 else PAY.valid
