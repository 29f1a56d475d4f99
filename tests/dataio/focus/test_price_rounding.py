"""Prices add up to the billed total, and none is a unit away from its cost."""

import random
from decimal import ROUND_HALF_EVEN, Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from app.billing import money
from app.billing.currencies import Currency, get_currency
from app.dataio.focus.amounts import TEN_DECIMALS, apportion_total, split_bill

currencies = st.sampled_from([get_currency(code) for code in ("EUR", "JPY", "BHD")])
costs = st.decimals(min_value=-10_000, max_value=10_000, places=13)
tiny = st.decimals(min_value=Decimal("-0.01"), max_value=Decimal("0.01"), places=20)
whole = st.integers(-1000, 1000).map(lambda cents: Decimal(cents) / 100)
lines = st.lists(costs | tiny | whole, min_size=1, max_size=40)
EUR = get_currency("EUR")
CENT = EUR.smallest_unit


def shared(*costs: str) -> list[Decimal]:
    exact = [Decimal(cost) for cost in costs]
    total = money.round_half_up(sum(exact, Decimal(0)), EUR)
    rounded = [cost.quantize(TEN_DECIMALS, ROUND_HALF_EVEN) for cost in exact]
    return list(apportion_total(total, exact, rounded, CENT))


@given(st.dictionaries(st.integers(0, 3), lines, min_size=1), currencies)
@example({1: [Decimal("0.009999999999999"), Decimal("0.0000000000004")] * 3}, EUR)
@example({1: [Decimal("-0.005")], 2: [Decimal("0.005")]}, EUR)
@example({1: [Decimal("0.00499999999999"), Decimal("0.00499999999999")]}, EUR)
def test_prices_add_up_and_are_near_their_costs(
    bill: dict[int, list[Decimal]], currency: Currency
) -> None:
    unit = currency.smallest_unit
    for key, amounts in split_bill(bill, currency).items():
        assert (
            sum(amounts.prices)
            == amounts.price
            == money.round_half_up(sum(bill[key], Decimal(0)), currency)
        )
        for price, unit_price, cost in zip(
            amounts.prices, amounts.unit_prices, bill[key], strict=True
        ):
            assert abs(price - cost) < unit
            assert abs(price - unit_price) < unit
            assert money.fits_smallest_unit(price, currency)


@given(lines, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_change_their_prices(
    costs: list[Decimal], mixer: random.Random
) -> None:
    mixed = costs.copy()
    mixer.shuffle(mixed)

    def priced(some: list[Decimal]) -> list[tuple[Decimal, Decimal]]:
        return sorted(zip(some, split_bill({1: some}, EUR)[1].prices, strict=True))

    if len({abs(cost) for cost in costs}) == len(costs):
        assert priced(costs) == priced(mixed)


def test_units_go_to_the_largest_remainders() -> None:
    assert shared("0.019", "0.012", "0.019") == [Decimal("0.02"), Decimal("0.01"), Decimal("0.02")]


def test_among_equal_remainders_the_larger_cost_and_then_the_first_gets_the_unit() -> None:
    assert shared("0.004", "1.004") == [Decimal("0.00"), Decimal("1.01")]
    assert shared("0.004", "0.004") == [Decimal("0.01"), Decimal("0.00")]


def test_many_tiny_costs_are_billed_once() -> None:
    assert sorted(shared(*["0.0012"] * 8)) == [0] * 7 + [Decimal("0.01")]


def test_a_total_of_zero_may_have_parts() -> None:
    assert shared("0.004", "-0.004") == [0, 0]
    assert shared("1.234", "-1.234") == [Decimal("1.23"), Decimal("-1.23")]
    assert shared("0.003", "0.0015", "-0.0045") == [0, 0, 0]


def test_negative_costs_round_as_positive_ones_do() -> None:
    assert shared("-0.0012", "-0.0012", "-0.0012", "-0.0012", "-0.0012") == [
        *[0] * 4,
        Decimal("-0.01"),
    ]
