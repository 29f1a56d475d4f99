"""The rule for restated bills."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing import money
from app.billing.currencies import get_currency
from app.billing.restatement import BilledItems, IssuedLine, LineCredit, Restatement, restate

EUR = get_currency("EUR")
A, B, C = (UUID(int=number) for number in (1, 2, 3))
NONE = Restatement()


def issued(
    item: UUID,
    price: str,
    *,
    line: UUID | None = None,
    invoice: int = 1,
    restated: str = "0",
    rest: str | None = None,
) -> IssuedLine:
    left = Decimal(price) - Decimal(restated) if rest is None else Decimal(rest)
    return IssuedLine(item, line or item, invoice, Decimal(price), Decimal(restated), left)


def restate_bill(
    bill: Mapping[UUID, str],
    *lines: IssuedLine,
    pending: Mapping[UUID, str] | None = None,
    rests: Mapping[int, str] | None = None,
) -> Restatement:
    costs = {item: Decimal(cost) for item, cost in bill.items()}
    left: dict[int, Decimal] = {}
    for line in lines:
        left[line.invoice] = left.get(line.invoice, Decimal(0)) + line.rest
    left |= {invoice: Decimal(rest) for invoice, rest in (rests or {}).items()}
    differences = {item: Decimal(price) for item, price in (pending or {}).items()}
    total = money.round_half_up(sum(costs.values(), Decimal(0)), EUR)
    return restate(costs, total, BilledItems(lines, differences, left), EUR)


def test_the_same_bill_changes_nothing() -> None:
    assert restate_bill({A: "10", B: "-2"}, issued(A, "10"), issued(B, "-2")) == NONE


def test_an_item_that_costs_less_is_credited() -> None:
    found = restate_bill({A: "7.5"}, issued(A, "10"), issued(B, "1"))
    assert found.credits == [
        LineCredit(1, A, Decimal("2.5")),
        LineCredit(1, B, Decimal(1)),
    ]
    assert not found.differences


def test_an_item_that_costs_more_or_is_new_becomes_a_difference() -> None:
    found = restate_bill({A: "10.5", B: "3"}, issued(A, "10"))
    assert found == Restatement([], {A: Decimal("0.5"), B: Decimal(3)})


def test_a_pending_difference_changes_before_anything_is_credited() -> None:
    found = restate_bill({A: "11"}, issued(A, "10"), pending={A: "2"})
    assert found == Restatement([], {A: Decimal(1)})
    found = restate_bill({A: "9"}, issued(A, "10"), pending={A: "2"})
    assert found == Restatement([LineCredit(1, A, Decimal(1))], {A: Decimal(0)})


def test_an_issued_difference_is_credited_after_the_item() -> None:
    lines = issued(A, "10", restated="9"), issued(A, "2", line=C, invoice=2)
    found = restate_bill({A: "1"}, *lines)
    assert found.credits == [LineCredit(1, A, Decimal(1)), LineCredit(2, C, Decimal(1))]


def test_a_new_refund_becomes_a_negative_difference() -> None:
    found = restate_bill({A: "10", B: "-3"}, issued(A, "10"))
    assert found == Restatement([], {B: Decimal(-3)})


def test_a_refund_that_shrinks_is_billed() -> None:
    found = restate_bill({A: "10", B: "-3"}, issued(A, "10"), issued(B, "-5"))
    assert found == Restatement([], {B: Decimal(2)})


def test_the_part_that_staff_gave_back_is_not_given_back_again() -> None:
    line = issued(A, "10", rest="6")
    assert restate_bill({A: "8"}, line).credits == [LineCredit(1, A, Decimal(2))]
    found = restate_bill({A: "3"}, line)
    assert found == Restatement([LineCredit(1, A, Decimal(6))], {}, kept=Decimal(1))
    assert restate_bill({A: "10"}, line) == NONE


def test_the_part_beyond_the_total_of_the_invoice_becomes_a_negative_difference() -> None:
    found = restate_bill({A: "5", B: "-8"}, issued(A, "10"), issued(B, "-8"))
    assert found == Restatement([LineCredit(1, A, Decimal(2))], {A: Decimal(-3)})


@pytest.mark.parametrize("costs", [("0.0099", "0.0005"), ("0.0007", "0.0097")])
def test_an_item_keeps_a_price_within_one_unit_of_its_cost(costs: tuple[str, str]) -> None:
    lines = issued(A, "0.01"), issued(B, "0.00")
    assert restate_bill(dict(zip((A, B), costs, strict=True)), *lines) == NONE


def test_cents_move_on_items_that_change_anyway() -> None:
    lines = issued(A, "0.01"), issued(B, "0.00"), issued(C, "5")
    found = restate_bill({A: "0.004", B: "0.004", C: "4.004"}, *lines)
    assert found == Restatement([LineCredit(1, C, Decimal(1))], {})


costs = st.decimals("-20", 20, places=4)
bills = st.dictionaries(st.sampled_from([A, B, C]), costs)
steps = st.one_of(
    bills, st.just("issue"), st.tuples(st.integers(0, 20), st.decimals("0.01", 20, places=2))
)


@dataclass
class Account:
    """Invoices of an account, with their lines, and the pending differences."""

    lines: list[IssuedLine] = field(default_factory=list)
    pending: dict[UUID, Decimal] = field(default_factory=dict)
    rests: dict[int, Decimal] = field(default_factory=dict)

    def issue(self, prices: Mapping[UUID, Decimal]) -> None:
        invoice = len(self.rests) + 1
        self.rests[invoice] = sum(prices.values(), Decimal(0))
        self.lines += [
            IssuedLine(item, uuid5(item, str(invoice)), invoice, price, Decimal(0), price)
            for item, price in prices.items()
        ]

    def credit(self, index: int, price: Decimal, restated: Decimal) -> None:
        line = self.lines[index]
        self.rests[line.invoice] -= price
        self.lines[index] = replace(line, rest=line.rest - price, restated=line.restated + restated)

    def restate(self, bill: Mapping[UUID, Decimal]) -> Restatement:
        total = money.round_half_up(sum(bill.values(), Decimal(0)), EUR)
        return restate(bill, total, self.billed, EUR)

    def apply(self, found: Restatement) -> None:
        places = {line.line: index for index, line in enumerate(self.lines)}
        for each in found.credits:
            line = self.lines[places[each.line]]
            assert 0 < each.price <= line.rest
            assert each.price <= self.rests[each.invoice]
            self.credit(places[each.line], each.price, each.price)
        pending = {**self.pending, **found.differences}
        self.pending = {item: price for item, price in pending.items() if price}

    @property
    def billed(self) -> BilledItems:
        return BilledItems(self.lines, self.pending, self.rests)


@given(bills, st.lists(steps, max_size=12))
def test_invoices_less_credit_notes_plus_differences_are_the_newest_bill(
    first: dict[UUID, Decimal], events: list[dict[UUID, Decimal] | str | tuple[int, Decimal]]
) -> None:
    account = Account()
    account.apply(account.restate(first))
    for event in events:
        match event:
            case str():
                account.issue(account.pending)
                account.pending = {}
            case (int() as index, Decimal() as price) if index < len(account.lines):
                line = account.lines[index]
                part = min(price, line.rest, account.rests[line.invoice])
                if part > 0:
                    account.credit(index, part, Decimal(0))
            case dict():
                found = account.restate(event)
                account.apply(found)
                total = money.round_half_up(sum(event.values(), Decimal(0)), EUR)
                assert account.billed.price == total + found.kept
                again = account.restate(event)
                assert again.is_empty
                assert again.kept == found.kept
                given = sum((line.price - line.rest for line in account.lines), Decimal(0))
                restated = sum((line.restated for line in account.lines), Decimal(0))
                assert found.kept <= given - restated
