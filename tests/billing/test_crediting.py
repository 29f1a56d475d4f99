"""The rules of credit notes."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing import money
from app.billing.crediting import (
    CreditedLine,
    InvalidPart,
    InvoiceRest,
    ItemRest,
    MoreThanLeft,
    credit_price,
    credit_quantity,
    credit_whole,
    credited_gross,
)
from app.billing.currencies import get_currency

EUR = get_currency("EUR")
ITEM = UUID(int=1)
TEN = ItemRest(ITEM, Decimal("2.5"), Decimal(4), Decimal(10))
REFUND = ItemRest(ITEM, Decimal("-2.5"), Decimal(4), Decimal(-10))

amounts = st.decimals("0.0000000001", 10**6, places=10)
cents = st.decimals("-1000", 1000, places=2)
percents = st.decimals(0, 100, places=2)


@pytest.mark.parametrize("rest", [TEN, REFUND])
def test_a_quantity_has_the_price_of_the_item(rest: ItemRest) -> None:
    line = credit_quantity(rest, Decimal(1), EUR)
    assert (line.quantity, line.unit_price) == (Decimal(1), rest.unit_price)
    assert line.price == rest.unit_price


def test_a_price_is_a_part_of_the_quantity() -> None:
    assert credit_price(TEN, Decimal(5), EUR) == CreditedLine(
        ITEM, Decimal(2), Decimal(2), Decimal("2.5"), Decimal(5)
    )


@pytest.mark.parametrize("part", ["0", "-1"])
def test_a_part_has_the_sign_of_the_item(part: str) -> None:
    with pytest.raises(InvalidPart):
        credit_quantity(TEN, Decimal(part), EUR)
    with pytest.raises(InvalidPart):
        credit_price(TEN, Decimal(part), EUR)


def test_a_part_is_at_most_the_rest() -> None:
    with pytest.raises(MoreThanLeft):
        credit_quantity(TEN, Decimal("4.1"), EUR)
    with pytest.raises(MoreThanLeft):
        credit_price(TEN, Decimal("10.01"), EUR)


@given(amounts, amounts, st.lists(st.fractions(0, 1), max_size=5), st.booleans())
def test_the_parts_of_an_item_add_up_to_it(
    unit_price: Decimal, quantity: Decimal, shares: list[object], by_price: bool
) -> None:
    price = money.item_price(unit_price, quantity, EUR)
    rest = ItemRest(ITEM, unit_price, quantity, price)
    lines = []
    for share in [float(each) for each in shares]:  # type: ignore[arg-type]
        factor = Decimal(str(round(share, 3)))
        try:
            if by_price:
                part = money.round_half_even(rest.price * factor, EUR)
                line = credit_price(rest, part, EUR)
            else:
                part = (rest.quantity * factor).quantize(Decimal("1E-10"))
                line = credit_quantity(rest, part, EUR)
        except InvalidPart:
            continue
        lines.append(line)
        rest = ItemRest(ITEM, unit_price, rest.quantity - line.taken, rest.price - line.price)
        if not rest.price:
            break
    if rest.price:
        lines.append(credit_whole(rest, EUR))
    assert sum(line.price for line in lines) == price
    for line in lines:
        assert line.price > 0
        assert money.is_near_product(line.price, line.unit_price, line.quantity, EUR)


@given(st.lists(cents, min_size=1, max_size=8), percents)
def test_the_credit_notes_of_an_invoice_add_up_to_its_total(
    nets: list[Decimal], percent: Decimal
) -> None:
    net = sum(nets, Decimal(0))
    gross = money.round_half_up(money.with_tax(net, percent), EUR)
    rest = InvoiceRest(net, gross)
    notes = []
    for part in [*nets[:-1], None]:
        part_net = rest.net if part is None else part
        try:
            note = credited_gross(part_net, rest, percent, EUR)
        except MoreThanLeft:
            continue
        notes.append(note)
        rest = InvoiceRest(rest.net - part_net, rest.gross - note)
        assert abs(rest.gross) <= abs(gross)
        assert rest.gross * gross >= 0
    assert sum(notes) == gross
    assert rest == InvoiceRest(Decimal(0), Decimal(0))


@given(cents, percents)
def test_the_tax_of_a_part_is_rounded_once(net: Decimal, percent: Decimal) -> None:
    rest = InvoiceRest(net * 3, money.round_half_up(money.with_tax(net * 3, percent), EUR))
    if net:
        expected = money.round_half_up(money.with_tax(net, percent), EUR)
        assert credited_gross(net, rest, percent, EUR) == expected


@pytest.mark.parametrize("net", ["10.01", "-0.01"])
def test_a_credit_note_is_a_part_of_the_rest(net: str) -> None:
    with pytest.raises(MoreThanLeft):
        credited_gross(Decimal(net), InvoiceRest(Decimal(10), Decimal(12)), Decimal(20), EUR)
