"""From charges to the lines of invoices: sums per group, exact to the last digit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, localcontext
from typing import Final, NamedTuple

from app.dataio.focus.categories import CORRECTION, TAX
from app.dataio.focus.reader import Charge

EXACT = Context(prec=120, traps=[Inexact, InvalidOperation, Overflow])
"""Sums are exact or fail; they are never rounded."""


_BETWEEN: Final = "\0"
"""Between the parts of an account's key; no cell has it."""


def account_key(account_id: str, issuer: str) -> str:
    """Return what a billing account is known by. Earlier versions knew it by its id alone."""
    return f"{account_id}{_BETWEEN}{issuer}"


def id_of(account: str) -> str:
    """Return the id in an account's key."""
    return account.partition(_BETWEEN)[0]


def issuer_of(account: str) -> str:
    """Return the issuer in an account's key; empty where it is the id alone."""
    return account.partition(_BETWEEN)[2]


class GroupKey(NamedTuple):
    """What the charges of one line have in common."""

    account: str
    """Its key, as `account_key` makes it."""
    period_start: datetime
    period_end: datetime
    sub_account: str
    provider: str
    category: str
    service: str
    resource: str
    description: str
    pricing_unit: str
    charge_category: str
    corrected_month: str = ""
    """Of a correction: the month of the charges that it corrects, like 2026-08."""


class InvoiceKey(NamedTuple):
    """Whose invoice of which month; in the order in which they get their numbers."""

    year: int
    month: int
    account: str


@dataclass(slots=True)
class Group:
    """The sums of some charges."""

    billed_cost: Decimal
    start: datetime
    end: datetime
    """Exclusive."""
    charges: int = 0
    pricing_quantity: Decimal | None = None
    consumed: dict[str, Decimal] = field(default_factory=dict)
    """By unit."""
    invoice_ids: tuple[str, ...] = ()
    """The invoices of the provider that charge them."""

    def joined(self, other: "Group") -> "Group":
        """Return the sums of both."""
        quantities = [
            each for each in (self.pricing_quantity, other.pricing_quantity) if each is not None
        ]
        consumed = dict(self.consumed)
        for unit, quantity in other.consumed.items():
            consumed[unit] = consumed.get(unit, Decimal(0)) + quantity
        return Group(
            billed_cost=self.billed_cost + other.billed_cost,
            start=min(self.start, other.start),
            end=max(self.end, other.end),
            charges=self.charges + other.charges,
            pricing_quantity=sum(quantities, Decimal(0)) if quantities else None,
            consumed=consumed,
            invoice_ids=tuple(dict.fromkeys(self.invoice_ids + other.invoice_ids)),
        )


@dataclass
class Names:
    """The newest name of each thing that has an identifier; then the last in the alphabet."""

    _names: dict[tuple[str, ...], tuple[datetime, str]] = field(default_factory=dict)

    def note(self, key: tuple[str, ...], since: datetime, name: str) -> None:
        """Remember a name, unless a newer one is known."""
        if name and (key not in self._names or self._names[key] < (since, name)):
            self._names[key] = (since, name)

    def of(self, *key: str) -> str:
        """Return the name of a thing; its identifier, the last part of its key, if it has none."""
        return self.given(*key) or id_of(key[-1])

    def given(self, *key: str) -> str:
        """Return the name of a thing; empty if it has none."""
        return self._names[key][1] if key in self._names else ""

    def with_accounts(self, keys: Mapping[str, str]) -> "Names":
        """Return the names by other keys of the accounts."""
        names = Names()
        for (first, *rest), (since, name) in self._names.items():
            names.note((keys.get(first, first), *rest), since, name)
        return names


@dataclass
class Bill:
    """The charges of a file, grouped."""

    groups: dict[GroupKey, Group] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    rows: int = 0
    currencies: dict[str, int] = field(default_factory=dict)
    """How many rows there were of each currency, those left out included."""
    tax_rows: int = 0
    """Rows of the category Tax, dropped or not."""
    tax: Decimal = Decimal(0)
    """What these rows bill."""

    def with_accounts(self, keys: Mapping[str, str]) -> "Bill":
        """Return the bill by other keys of the accounts; some may be one account then."""
        groups: dict[GroupKey, Group] = {}
        with localcontext(EXACT):
            for before, group in self.groups.items():
                key = before._replace(account=keys[before.account])
                groups[key] = groups[key].joined(group) if key in groups else group
        return replace(self, groups=groups, names=self.names.with_accounts(keys))


def group(
    charges: Iterable[Charge], currency: str | None = None, *, drop_tax: bool = False
) -> Bill:
    """Sum up charges; where a currency is given, only those in it; those of tax unless dropped."""
    bill = Bill()
    with localcontext(EXACT):
        for charge in charges:
            bill.currencies[charge.currency] = bill.currencies.get(charge.currency, 0) + 1
            if currency is not None and charge.currency != currency:
                continue
            if charge.charge_category == TAX:
                bill.tax_rows += 1
                bill.tax += charge.billed_cost
                if drop_tax:
                    continue
            bill.rows += 1
            _add(bill, charge)
    return bill


def _add(bill: Bill, charge: Charge) -> None:
    account = account_key(charge.account, charge.issuer)
    key = GroupKey(
        account,
        charge.period_start,
        charge.period_end,
        charge.sub_account,
        charge.provider,
        charge.category,
        charge.service,
        charge.resource,
        charge.description,
        charge.pricing_unit,
        charge.charge_category,
        f"{charge.charge_start:%Y-%m}" if charge.charge_class == CORRECTION else "",
    )
    sums = bill.groups.get(key)
    if sums is None:
        sums = bill.groups[key] = Group(Decimal(0), charge.charge_start, charge.charge_end)
    sums.billed_cost += charge.billed_cost
    sums.charges += 1
    sums.start = min(sums.start, charge.charge_start)
    sums.end = max(sums.end, charge.charge_end)
    if charge.pricing_quantity is not None:
        sums.pricing_quantity = (sums.pricing_quantity or Decimal(0)) + charge.pricing_quantity
    if charge.consumed_quantity is not None:
        before = sums.consumed.get(charge.consumed_unit, Decimal(0))
        sums.consumed[charge.consumed_unit] = before + charge.consumed_quantity
    if charge.invoice_id and charge.invoice_id not in sums.invoice_ids:
        sums.invoice_ids += (charge.invoice_id,)
    names, since = bill.names, charge.charge_start
    names.note((account,), since, charge.account_name)
    names.note((account, charge.sub_account), since, charge.sub_account_name)
    names.note((charge.provider, charge.resource), since, charge.resource_name)
