"""How credits pay the items of an invoice, as pure functions.

Balances have five decimals; compensations are prices before tax in the currency's decimals.
"""

from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from operator import attrgetter
from typing import Final
from uuid import UUID

from app.billing.currencies import Currency
from app.billing.enums import MinimalConsumptionLogic
from app.billing.money import EXACT, quantize
from app.billing.periods import Period

BALANCE_UNIT: Final = Decimal("0.00001")
"""The smallest difference between two balances."""
_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
_HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class CreditTerms:
    """The balance of a customer's or a project's credit, and its rules."""

    value: Decimal
    end_date: date | None = None
    expected_consumption: Decimal = _ZERO
    logic: MinimalConsumptionLogic = MinimalConsumptionLogic.FIXED
    grace_percent: Decimal = _ZERO
    """20 stands for 20 %."""
    has_minimum: bool = True

    def is_spendable_in(self, period: Period) -> bool:
        """Return whether the credit pays for a month: it ends after the month began."""
        return self.end_date is None or self.end_date > period.first_day

    def is_last_month(self, period: Period) -> bool:
        """Return whether a month is the last one that the credit pays for."""
        if self.end_date is None or not self.is_spendable_in(period):
            return False
        return Period.containing(self.end_date - timedelta(days=1)) == period


def minimal_consumption(terms: CreditTerms, period: Period) -> Decimal:
    """Return the amount of which a month's unused part is forfeited.

    It is the expected consumption less the grace, and all of it in the last month.
    """
    if not terms.has_minimum:
        return _ZERO
    if terms.is_last_month(period):
        return terms.expected_consumption
    share = EXACT.divide(_HUNDRED - terms.grace_percent, _HUNDRED)
    return quantize(EXACT.multiply(terms.expected_consumption, share), BALANCE_UNIT, ROUND_HALF_UP)


def linear_share(end_date: date, period: Period) -> Decimal:
    """Return the month's share of the days that remain until a credit ends, at most one."""
    days_left = (end_date - period.first_day).days
    if days_left <= 0:
        return _ONE
    month_days = Decimal(monthrange(period.year, period.month)[1])
    return min(_ONE, EXACT.divide(month_days, Decimal(days_left)))


def expected_after(terms: CreditTerms, period: Period, used: Decimal) -> Decimal:
    """Return the expected consumption of the month after `period`, in which `used` was used.

    `terms` has the balance that is left. With the linear logic the balance is spread evenly over
    the remaining days, and consumption that is missing from earlier months is made up for. Else,
    and after the last month, nothing changes.
    """
    if (
        terms.logic is not MinimalConsumptionLogic.LINEAR
        or terms.end_date is None
        or not terms.is_spendable_in(period)
        or terms.is_last_month(period)
    ):
        return terms.expected_consumption
    share = linear_share(terms.end_date, period.shifted(1))
    missing = max(_ZERO, terms.expected_consumption - used)
    expected = EXACT.add(
        EXACT.multiply(missing, EXACT.subtract(_ONE, share)), EXACT.multiply(terms.value, share)
    )
    return quantize(expected, BALANCE_UNIT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Charge:
    """An item that a credit may pay."""

    item: UUID
    project_id: int | None
    price: Decimal
    """Before tax, less the discounts of the item."""


@dataclass(frozen=True, slots=True)
class BilledMonth:
    """The rules of the invoice on which the items are."""

    period: Period
    tax_percent: Decimal
    """20 stands for 20 %."""
    currency: Currency


@dataclass(frozen=True, slots=True)
class Compensation:
    """The part of an item that a credit pays."""

    item: UUID
    amount: Decimal
    """Positive, before tax, in the currency's decimals."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The amounts that one invoice takes from one balance."""

    paid: Decimal = _ZERO
    """For items."""
    forfeited: Decimal = _ZERO
    """The part of the minimal consumption that was not used."""

    @property
    def total(self) -> Decimal:
        """The difference of the balance, positive."""
        return self.paid + self.forfeited


@dataclass(frozen=True, slots=True)
class CompensationPlan:
    """The effect of an invoice on the credits of its customer."""

    compensations: tuple[Compensation, ...] = ()
    customer: Draw = Draw()
    projects: Mapping[int, Draw] = field(default_factory=dict)
    """By the project's id."""


def plan_compensations(
    charges: Iterable[Charge],
    credit: CreditTerms,
    project_credits: Mapping[int, CreditTerms],
    month: BilledMonth,
) -> CompensationPlan:
    """Return the items that the credits of a customer pay in a month, in rising order of price.

    Items of one price are paid in the order given. An item of a project with a credit is paid from
    it, and the customer's balance falls by the same; where either is exhausted, the rest of the
    item remains unpaid. Other items are paid from the customer's balance. If it does not suffice
    for one of these, all of it is used and covers the tax of the part that it pays, too.

    A credit that has ended pays nothing. An amount below the currency's smallest unit pays nothing;
    if it remains of a balance that is exhausted, it is used up. At last the unused part of each
    minimal consumption is forfeited.
    """
    period, unit = month.period, month.currency.smallest_unit
    with_tax = EXACT.add(_ONE, EXACT.divide(month.tax_percent, _HUNDRED))
    left = credit.value if credit.is_spendable_in(period) else _ZERO
    shares = {
        project_id: terms.value if terms.is_spendable_in(period) else _ZERO
        for project_id, terms in project_credits.items()
    }
    drawn = dict.fromkeys(shares, _ZERO)
    compensations: list[Compensation] = []
    for charge in sorted(charges, key=attrgetter("price")):
        share = shares.get(charge.project_id) if charge.project_id is not None else None
        available = left if share is None else min(left, share)
        draw = min(charge.price, available)
        amount = draw
        if share is None and draw < charge.price:
            amount = EXACT.divide(draw, with_tax)
        amount = quantize(amount, unit, ROUND_DOWN)
        if amount <= 0:
            continue
        compensations.append(Compensation(charge.item, amount))
        left -= draw
        if share is not None and charge.project_id is not None:
            shares[charge.project_id] = share - draw
            drawn[charge.project_id] += draw
    return CompensationPlan(
        tuple(compensations),
        _draw(credit, credit.value - left if credit.is_spendable_in(period) else _ZERO, period),
        {
            project_id: _draw(terms, drawn[project_id], period)
            for project_id, terms in project_credits.items()
        },
    )


def _draw(terms: CreditTerms, paid: Decimal, period: Period) -> Draw:
    """Return the draw on a balance from which items were paid."""
    if not terms.is_spendable_in(period):
        return Draw()
    missing = max(_ZERO, minimal_consumption(terms, period) - paid)
    return Draw(paid, min(missing, terms.value - paid))


def terms_after(terms: CreditTerms, draw: Draw, period: Period) -> CreditTerms:
    """Return the terms that a credit has after an invoice was issued for a month."""
    rest = replace(terms, value=terms.value - draw.total)
    return replace(rest, expected_consumption=expected_after(rest, period, draw.total))


def affiliate_fee(price: Decimal, fee_percent: Decimal) -> Decimal:
    """Return the fee on the price of an invoice, before tax and after compensations.

    An invoice in the customer's favour has no fee.
    """
    fee = EXACT.divide(EXACT.multiply(max(_ZERO, price), fee_percent), _HUNDRED)
    return quantize(fee, BALANCE_UNIT, ROUND_HALF_UP)


def withdrawable_balance(earned: Decimal, value: Decimal) -> Decimal:
    """Return the part of a balance that its owner earned, by the sum of the earned movements."""
    return max(_ZERO, min(earned, value))
