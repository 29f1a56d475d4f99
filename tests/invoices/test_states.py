"""The table of an invoice's states."""

from decimal import Decimal

from app.billing.enums import InvoiceState
from app.invoices.rendering.rendered import shown_state
from app.invoices.states import (
    CANCEL,
    END_MONTH,
    ISSUE,
    ISSUE_AS_PAID,
    PAY,
    notifiable_states,
)


def test_the_transitions() -> None:
    moves = {
        (state, transition.to)
        for transition in (END_MONTH, ISSUE, ISSUE_AS_PAID, PAY, CANCEL)
        for state in transition.valid
    }
    pending, ended, created, paid, canceled = InvoiceState
    assert moves == {
        (pending, ended),
        (pending, created),
        (pending, paid),
        (ended, created),
        (ended, paid),
        (ended, canceled),
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


def test_without_a_grace_period_no_client_sees_an_invoice_in_one() -> None:
    ended = InvoiceState.PENDING_FINALIZATION
    assert shown_state(ended, has_grace_period=False) is InvoiceState.PENDING
    assert shown_state(ended, has_grace_period=True) is ended
    for state in set(InvoiceState) - {ended}:
        assert shown_state(state, has_grace_period=False) is state
