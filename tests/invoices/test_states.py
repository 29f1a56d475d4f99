"""The table of an invoice's states."""

from decimal import Decimal

from app.billing.enums import InvoiceState
from app.invoices.states import CANCEL, ISSUE, ISSUE_AS_PAID, PAY, notifiable_states


def test_the_transitions() -> None:
    moves = {
        (state, transition.to)
        for transition in (ISSUE, ISSUE_AS_PAID, PAY, CANCEL)
        for state in transition.valid
    }
    pending, created, paid, canceled = InvoiceState
    assert moves == {
        (pending, created),
        (pending, paid),
        (created, paid),
        (pending, canceled),
        (created, canceled),
    }


def test_a_paid_invoice_may_be_notified_only_if_its_total_is_zero() -> None:
    assert InvoiceState.PAID in notifiable_states(Decimal("0.00"))
    assert InvoiceState.PAID not in notifiable_states(Decimal("0.01"))


def test_a_created_invoice_may_be_notified_with_any_total() -> None:
    for total in (Decimal(-1), Decimal(0), Decimal(1)):
        assert InvoiceState.CREATED in notifiable_states(total)
