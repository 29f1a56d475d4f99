"""Properties of the rules of money."""

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from app.billing import money

amounts = st.decimals(
    min_value=Decimal("-999999999999"), max_value=Decimal("999999999999"), places=10
)
percents = st.decimals(min_value=0, max_value=Decimal("99.99"), places=2)
CENT = Decimal("0.01")


@given(amounts, amounts)
def test_an_item_never_costs_less_than_its_product(unit_price: Decimal, quantity: Decimal) -> None:
    price = money.item_price(unit_price, quantity)
    with localcontext(money.EXACT):
        exact = unit_price * quantity
        assert abs(exact) <= abs(price) < abs(exact) + CENT
        assert price == 0 or (price > 0) == (exact > 0)


@given(amounts, amounts)
def test_a_compensation_mirrors_its_charge(unit_price: Decimal, quantity: Decimal) -> None:
    charge = money.item_price(unit_price, quantity)
    assert money.item_price(-unit_price, quantity) == -charge


@given(amounts)
def test_roundings_stay_within_a_cent(amount: Decimal) -> None:
    with localcontext(money.EXACT):
        assert abs(money.half_up(amount) - amount) <= CENT / 2
        assert abs(money.half_even(amount) - amount) <= CENT / 2
        assert abs(money.away_from_zero(amount) - amount) < CENT


@given(amounts, percents)
def test_tax_is_part_of_the_total(price: Decimal, percent: Decimal) -> None:
    with localcontext(money.EXACT):
        assert money.with_tax(price, percent) - money.tax_on(price, percent) == price


def test_halves() -> None:
    assert money.half_up(Decimal("0.005")) == Decimal("0.01")
    assert money.half_up(Decimal("-0.005")) == Decimal("-0.01")
    assert money.half_even(Decimal("0.005")) == Decimal("0.00")
    assert money.half_even(Decimal("0.015")) == Decimal("0.02")
    assert money.away_from_zero(Decimal("0.0000000001")) == Decimal("0.01")


def test_zero_has_no_sign() -> None:
    assert str(money.tax_on(Decimal("-12.35"), Decimal("0.00"))) == "0.0000"
    for rounded in (money.half_up, money.half_even, money.away_from_zero):
        assert str(rounded(Decimal("-0.000"))) == "0.00"
    assert str(money.half_up(Decimal("-0.001"))) == "0.00"
    assert str(money.half_even(Decimal("-0.005"))) == "0.00"
