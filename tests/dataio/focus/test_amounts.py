"""No amount is gained or lost when a bill is cut into lines."""

from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from app.billing.currencies import get_currency
from app.dataio.focus.amounts import round_to_ten_decimals, split_bill

EUR = get_currency("EUR")
costs = st.decimals(min_value=-10_000, max_value=10_000, places=13)
tiny = st.decimals(min_value=Decimal("-0.001"), max_value=Decimal("0.001"), places=20)
bills = st.dictionaries(
    st.integers(0, 5), st.lists(costs | tiny, min_size=1, max_size=20), min_size=1
)


@given(bills)
@example({1: [Decimal("0.00000000005")], 2: [Decimal("0.00000000005")]})
@example({1: [Decimal("-0.005")], 2: [Decimal("0.005")]})
def test_all_sums_are_equal_to_the_bill(bill: dict[int, list[Decimal]]) -> None:
    result = split_bill(bill, EUR)
    whole = sum((sum(own, Decimal(0)) for own in bill.values()), Decimal(0))
    assert sum(each.billed for each in result.values()) == whole
    charged = sum((each.charged for each in result.values()), Decimal(0))
    assert charged == round_to_ten_decimals(whole)
    largest = max(bill, key=lambda key: abs(result[key].billed))
    for key, own in bill.items():
        amounts = result[key]
        assert len(amounts.unit_prices) == len(own)
        if key != largest:
            assert amounts.charged == round_to_ten_decimals(amounts.billed)
        moved = [
            index
            for index, price in enumerate(amounts.unit_prices)
            if abs(price - own[index]) > Decimal("5e-11")
        ]
        # All but the largest line are at most half a unit of the tenth decimal away.
        assert all(abs(own[index]) == max(map(abs, own)) for index in moved)


def test_an_empty_bill_has_no_amounts() -> None:
    assert split_bill({}, EUR) == {}
