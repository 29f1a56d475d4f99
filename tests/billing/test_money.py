"""Properties of the rules of money, for currencies with any number of decimals."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing import money
from app.billing.currencies import Currency, get_currency

EUR, JPY, BHD, CLF = (get_currency(code) for code in ("EUR", "JPY", "BHD", "CLF"))
amounts = st.decimals(
    min_value=Decimal("-999999999999"), max_value=Decimal("999999999999"), places=10
)
percents = st.decimals(min_value=0, max_value=Decimal("99.99"), places=2)
currencies = st.sampled_from([EUR, JPY, BHD, CLF])


@given(amounts, amounts, currencies)
def test_an_item_never_costs_less_than_its_product(
    unit_price: Decimal, quantity: Decimal, currency: Currency
) -> None:
    price = money.item_price(unit_price, quantity, currency)
    with localcontext(money.EXACT):
        exact = unit_price * quantity
        assert abs(exact) <= abs(price) < abs(exact) + currency.smallest_unit
        assert price == 0 or (price > 0) == (exact > 0)


@given(amounts, amounts, currencies)
def test_a_computed_price_may_also_be_given(
    unit_price: Decimal, quantity: Decimal, currency: Currency
) -> None:
    price = money.item_price(unit_price, quantity, currency)
    assert money.fits_smallest_unit(price, currency)
    assert money.is_near_product(price, unit_price, quantity, currency)


@given(amounts, amounts, currencies)
def test_at_most_three_prices_may_be_given(
    unit_price: Decimal, quantity: Decimal, currency: Currency
) -> None:
    with localcontext(money.EXACT):
        made = money.item_price(unit_price, quantity, currency)
        steps = [made + step * currency.smallest_unit for step in range(-3, 4)]
        near = [
            each for each in steps if money.is_near_product(each, unit_price, quantity, currency)
        ]
        assert len(near) == (3 if made == unit_price * quantity else 2)
        assert made in near


@given(amounts, amounts, currencies)
def test_a_compensation_mirrors_its_charge(
    unit_price: Decimal, quantity: Decimal, currency: Currency
) -> None:
    charge = money.item_price(unit_price, quantity, currency)
    assert money.item_price(-unit_price, quantity, currency) == -charge


@given(amounts, currencies)
def test_roundings_stay_within_a_smallest_unit(amount: Decimal, currency: Currency) -> None:
    unit = currency.smallest_unit
    with localcontext(money.EXACT):
        assert abs(money.round_half_up(amount, currency) - amount) <= unit / 2
        assert abs(money.round_half_even(amount, currency) - amount) <= unit / 2
        assert abs(money.round_away_from_zero(amount, currency) - amount) < unit


@given(amounts, currencies)
def test_a_rounded_amount_has_all_decimals_of_the_currency(
    amount: Decimal, currency: Currency
) -> None:
    for rounding in (money.round_half_up, money.round_half_even, money.round_away_from_zero):
        _, _, decimals = f"{rounding(amount, currency):f}".partition(".")
        assert len(decimals) == currency.decimals


@given(amounts, percents)
def test_tax_is_part_of_the_total(price: Decimal, percent: Decimal) -> None:
    with localcontext(money.EXACT):
        assert money.with_tax(price, percent) - money.tax_on(price, percent) == price


@pytest.mark.parametrize(
    ("rounded", "expected"),
    [
        (money.round_half_up(Decimal("0.005"), EUR), "0.01"),
        (money.round_half_up(Decimal("-0.005"), EUR), "-0.01"),
        (money.round_half_up(Decimal("1359.5"), JPY), "1360"),
        (money.round_half_up(Decimal("0.0005"), BHD), "0.001"),
        (money.round_half_even(Decimal("0.005"), EUR), "0.00"),
        (money.round_half_even(Decimal("0.015"), EUR), "0.02"),
        (money.round_half_even(Decimal("2.5"), JPY), "2"),
        (money.round_half_even(Decimal("0.0015"), BHD), "0.002"),
        (money.round_away_from_zero(Decimal("0.0000000001"), EUR), "0.01"),
        (money.round_away_from_zero(Decimal("1234.3456789"), JPY), "1235"),
        (money.round_away_from_zero(Decimal("-0.0001"), BHD), "-0.001"),
        (money.item_price(Decimal("0.0001"), Decimal("0.0001"), CLF), "0.0001"),
    ],
)
def test_rounding_modes(rounded: Decimal, expected: str) -> None:
    assert str(rounded) == expected


def test_zero_has_no_sign() -> None:
    assert str(money.tax_on(Decimal("-12.35"), Decimal("0.00"))) == "0.0000"
    for rounded in (money.round_half_up, money.round_half_even, money.round_away_from_zero):
        assert str(rounded(Decimal("-0.000"), EUR)) == "0.00"
        assert str(rounded(Decimal("-0.000"), JPY)) == "0"
    assert str(money.round_half_up(Decimal("-0.001"), EUR)) == "0.00"
    assert str(money.round_half_even(Decimal("-0.005"), EUR)) == "0.00"
