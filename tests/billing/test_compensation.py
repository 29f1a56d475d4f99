"""Rules of credits: which items they pay, and what is forfeited."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing.compensation import (
    BilledMonth,
    Charge,
    Compensation,
    CreditTerms,
    Draw,
    affiliate_fee,
    expected_after,
    minimal_consumption,
    plan_compensations,
    terms_after,
)
from app.billing.currencies import get_currency
from app.billing.enums import MinimalConsumptionLogic
from app.billing.periods import Period

EUR = get_currency("EUR")
OCTOBER = Period(2026, 10)
MONTH = BilledMonth(OCTOBER, Decimal(20), EUR)
LINEAR = MinimalConsumptionLogic.LINEAR
PROJECT, OTHER = 1, 2


def charge(number: int, price: str, project_id: int | None = None) -> Charge:
    return Charge(UUID(int=number), project_id, Decimal(price))


def paid(number: int, amount: str) -> Compensation:
    return Compensation(UUID(int=number), Decimal(amount))


def terms(value: str, **rules: object) -> CreditTerms:
    return replace(CreditTerms(Decimal(value)), **rules)  # type: ignore[arg-type]


def test_the_cheapest_items_are_paid_first() -> None:
    charges = [charge(1, "30"), charge(2, "10"), charge(3, "20")]
    plan = plan_compensations(charges, terms("60"), {}, MONTH)
    assert plan.compensations == (paid(2, "10.00"), paid(3, "20.00"), paid(1, "30.00"))
    assert plan.customer == Draw(Decimal(60))


def test_the_last_part_of_a_credit_covers_the_tax() -> None:
    plan = plan_compensations([charge(1, "100")], terms("60"), {}, MONTH)
    assert plan.compensations == (paid(1, "50.00"),)
    assert plan.customer == Draw(Decimal(60))


def test_a_credit_of_exactly_the_price_pays_all_of_it() -> None:
    plan = plan_compensations([charge(1, "60")], terms("60"), {}, MONTH)
    assert plan.compensations == (paid(1, "60.00"),)


def test_the_credit_of_a_project_pays_first_and_the_customers_falls_with_it() -> None:
    charges = [charge(1, "30", PROJECT), charge(2, "40")]
    plan = plan_compensations(charges, terms("100"), {PROJECT: terms("20")}, MONTH)
    assert plan.compensations == (paid(1, "20.00"), paid(2, "40.00"))
    assert plan.customer == Draw(Decimal(60))
    assert plan.projects == {PROJECT: Draw(Decimal(20))}


def test_a_project_without_a_credit_is_paid_by_the_customer() -> None:
    plan = plan_compensations([charge(1, "30", OTHER)], terms("100"), {PROJECT: terms("20")}, MONTH)
    assert plan.compensations == (paid(1, "30.00"),)
    assert plan.projects == {PROJECT: Draw()}


def test_a_project_cannot_spend_more_than_its_customer_has() -> None:
    plan = plan_compensations(
        [charge(1, "30", PROJECT)], terms("10"), {PROJECT: terms("50")}, MONTH
    )
    assert plan.compensations == (paid(1, "10.00"),)
    assert plan.customer == Draw(Decimal(10))
    assert plan.projects == {PROJECT: Draw(Decimal(10))}


@pytest.mark.parametrize("end", [date(2026, 9, 1), date(2026, 10, 1)])
def test_a_credit_that_ended_before_the_month_pays_nothing(end: date) -> None:
    ended = terms("100", end_date=end, expected_consumption=Decimal(10))
    plan = plan_compensations([charge(1, "30")], ended, {}, MONTH)
    assert (plan.compensations, plan.customer) == ((), Draw())


def test_a_credit_that_ends_on_the_first_pays_for_the_month_before() -> None:
    plan = plan_compensations(
        [charge(1, "30")], terms("100", end_date=date(2026, 11, 1)), {}, MONTH
    )
    assert plan.compensations == (paid(1, "30.00"),)


def test_an_amount_below_the_smallest_unit_pays_nothing() -> None:
    plan = plan_compensations([charge(1, "30")], terms("0.01"), {}, MONTH)
    assert (plan.compensations, plan.customer) == ((), Draw())
    plan = plan_compensations([charge(1, "30")], terms("12.00999"), {}, MONTH)
    assert plan.compensations == (paid(1, "10.00"),)
    assert plan.customer == Draw(Decimal("12.00999"))


def test_the_rest_of_the_minimal_consumption_is_forfeited() -> None:
    credit = terms("100", expected_consumption=Decimal(50), grace_percent=Decimal(20))
    plan = plan_compensations([charge(1, "15")], credit, {}, MONTH)
    assert plan.customer == Draw(Decimal(15), Decimal(25))
    small = replace(credit, value=Decimal(30))
    assert plan_compensations([charge(1, "15")], small, {}, MONTH).customer == Draw(
        Decimal(15), Decimal(15)
    )


def test_the_minimal_consumption_of_a_project_is_its_own() -> None:
    share = terms("40", expected_consumption=Decimal(10))
    plan = plan_compensations([charge(1, "4", PROJECT)], terms("100"), {PROJECT: share}, MONTH)
    assert plan.customer == Draw(Decimal(4))
    assert plan.projects == {PROJECT: Draw(Decimal(4), Decimal(6))}


def test_the_minimal_consumption_has_a_grace_except_in_the_last_month() -> None:
    credit = terms("9", expected_consumption=Decimal("10.00001"), grace_percent=Decimal(25))
    assert minimal_consumption(credit, OCTOBER) == Decimal("7.50001")
    last = replace(credit, end_date=date(2026, 11, 1))
    assert minimal_consumption(last, OCTOBER) == Decimal("10.00001")
    assert minimal_consumption(last, Period(2026, 9)) == Decimal("7.50001")
    assert minimal_consumption(replace(last, has_minimum=False), OCTOBER) == 0


def test_a_linear_credit_spreads_its_balance_and_makes_up_for_missing_consumption() -> None:
    # November has 30 of the 61 days that remain.
    credit = terms("61", end_date=date(2027, 1, 1), logic=LINEAR, expected_consumption=Decimal(0))
    assert expected_after(credit, OCTOBER, Decimal(5)) == Decimal("30.00000")
    missing = replace(credit, expected_consumption=Decimal("6.1"))
    assert expected_after(missing, OCTOBER, Decimal(0)) == Decimal("33.10000")
    last = replace(credit, end_date=date(2026, 12, 1))
    assert expected_after(last, OCTOBER, Decimal(0)) == Decimal(61)
    assert expected_after(last, Period(2026, 11), Decimal(0)) == 0


def test_a_fixed_expectation_remains() -> None:
    credit = terms("61", end_date=date(2027, 1, 1), expected_consumption=Decimal(7))
    assert expected_after(credit, OCTOBER, Decimal(0)) == Decimal(7)


def test_a_fee_has_five_decimals_and_is_never_negative() -> None:
    assert affiliate_fee(Decimal("33.33"), Decimal("3.33333")) == Decimal("1.11100")
    assert affiliate_fee(Decimal("-5"), Decimal(10)) == 0


balances = st.decimals(0, 200, places=5)
ends = st.none() | st.dates(date(2026, 8, 1), date(2027, 3, 1))
credits_ = st.builds(
    CreditTerms,
    balances,
    ends,
    balances,
    st.sampled_from(MinimalConsumptionLogic),
    st.integers(0, 100).map(Decimal),
    st.booleans(),
)
charges_ = st.lists(
    st.tuples(st.sampled_from([None, PROJECT, OTHER, 3]), st.decimals("0.01", 100, places=2))
).map(lambda rows: [Charge(UUID(int=n), *row) for n, row in enumerate(rows)])
months = st.builds(
    BilledMonth,
    st.just(OCTOBER),
    st.decimals(0, 150, places=2),
    st.sampled_from([EUR, get_currency("JPY"), get_currency("BHD")]),
)


@given(
    charges_,
    credits_,
    st.dictionaries(st.sampled_from([PROJECT, OTHER]), credits_),
    months,
)
def test_no_balance_falls_below_zero_and_no_item_is_paid_twice(
    charges: list[Charge],
    credit: CreditTerms,
    shares: dict[int, CreditTerms],
    month: BilledMonth,
) -> None:
    plan = plan_compensations(charges, credit, shares, month)
    prices = {each.item: each.price for each in charges}
    items = [each.item for each in plan.compensations]
    assert len(items) == len(set(items))
    for each in plan.compensations:
        assert 0 < each.amount <= prices[each.item]
        assert each.amount % month.currency.smallest_unit == 0
    for owner, draw in (
        (credit, plan.customer),
        *((shares[p], d) for p, d in plan.projects.items()),
    ):
        assert draw.paid >= 0
        assert draw.forfeited >= 0
        assert draw.total <= owner.value
        assert draw.total >= min(owner.value, minimal_consumption(owner, OCTOBER)) or (
            not owner.is_spendable_in(OCTOBER)
        )
        assert terms_after(owner, draw, OCTOBER).expected_consumption >= 0
    assert plan.customer.paid >= sum(draw.paid for draw in plan.projects.values())
    assert plan.customer.paid >= sum(each.amount for each in plan.compensations)
