"""Groups charges into the lines of invoices, with exact sums."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, localcontext
from functools import lru_cache
from operator import attrgetter
from typing import Final, NamedTuple

from app.dataio.focus.categories import CORRECTION, TAX
from app.dataio.focus.row_parser import Charge

EXACT_ARITHMETIC = Context(prec=120, traps=[Inexact, InvalidOperation, Overflow])
"""Raises an exception instead of rounding."""


_SEPARATOR: Final = "\0"
"""Separates the parts of an account's key. No cell contains it."""


@lru_cache(maxsize=4096)
def make_account_key(account_id: str, issuer: str) -> str:
    """Return the key of a billing account. In earlier releases it was the id alone."""
    return f"{account_id}{_SEPARATOR}{issuer}"


def account_id(key: str) -> str:
    """Return the id in an account's key."""
    return key.partition(_SEPARATOR)[0]


def account_issuer(key: str) -> str:
    """Return the issuer in an account's key; empty if the key is the id alone."""
    return key.partition(_SEPARATOR)[2]


class ChargeGroupKey(NamedTuple):
    """The values that the charges of one line have in common."""

    account: str
    """The account's key, from `make_account_key`."""
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
    """The month of the charges that a correction corrects, like 2026-08; otherwise empty."""


_get_common_values = attrgetter(*ChargeGroupKey._fields[1:-1])
"""Returns the values between the account and the corrected month, which are fields of a charge."""


class InvoiceKey(NamedTuple):
    """The month and the account's key of an invoice. New invoices are numbered in this order."""

    year: int
    month: int
    account: str


@dataclass(slots=True)
class ChargeGroup:
    """The sums of the charges of one line."""

    billed_cost: Decimal
    start: datetime
    end: datetime
    """Exclusive."""
    charges: int = 0
    pricing_quantity: Decimal | None = None
    consumed: dict[str, Decimal] = field(default_factory=dict)
    """Quantities by unit."""
    invoice_ids: tuple[str, ...] = ()
    """The provider's invoices for the charges, in alphabetical order."""

    def merged_with(self, other: "ChargeGroup") -> "ChargeGroup":
        """Return the sums of both groups."""
        quantities = [
            each for each in (self.pricing_quantity, other.pricing_quantity) if each is not None
        ]
        consumed = dict(self.consumed)
        for unit, quantity in other.consumed.items():
            consumed[unit] = consumed.get(unit, Decimal(0)) + quantity
        return ChargeGroup(
            billed_cost=self.billed_cost + other.billed_cost,
            start=min(self.start, other.start),
            end=max(self.end, other.end),
            charges=self.charges + other.charges,
            pricing_quantity=sum(quantities, Decimal(0)) if quantities else None,
            consumed=consumed,
            invoice_ids=tuple(sorted({*self.invoice_ids, *other.invoice_ids})),
        )


@dataclass
class DisplayNames:
    """The latest name of each identifier; of names of the same time the last in the alphabet."""

    _names: dict[tuple[str, ...], tuple[datetime, str]] = field(default_factory=dict)

    def add(self, key: tuple[str, ...], since: datetime, name: str) -> None:
        """Add a name, unless there is a later one or the name is empty."""
        if name and (key not in self._names or self._names[key] < (since, name)):
            self._names[key] = (since, name)

    def name_or_id(self, *key: str) -> str:
        """Return the name of a key; its identifier, the last part of the key, if it has no name."""
        return self.name(*key) or account_id(key[-1])

    def name(self, *key: str) -> str:
        """Return the name of a key; empty if it has none."""
        return self._names[key][1] if key in self._names else ""

    def with_accounts(self, keys: Mapping[str, str]) -> "DisplayNames":
        """Return the names with other account keys."""
        names = DisplayNames()
        for (first, *rest), (since, name) in self._names.items():
            names.add((keys.get(first, first), *rest), since, name)
        return names


@dataclass
class Bill:
    """The grouped charges of an import."""

    groups: dict[ChargeGroupKey, ChargeGroup] = field(default_factory=dict)
    names: DisplayNames = field(default_factory=DisplayNames)
    rows: int = 0
    currencies: dict[str, int] = field(default_factory=dict)
    """The number of rows in each currency in alphabetical order, including skipped rows."""
    tax_rows: int = 0
    """The number of rows of the category Tax, including dropped rows."""
    tax: Decimal = Decimal(0)
    """The sum of these rows."""

    def with_accounts(self, keys: Mapping[str, str]) -> "Bill":
        """Return the bill with other account keys. Accounts that get the same key are merged."""
        if all(old == new for old, new in keys.items()):
            return self
        groups: dict[ChargeGroupKey, ChargeGroup] = {}
        with localcontext(EXACT_ARITHMETIC):
            for old_key, group in self.groups.items():
                key = old_key._replace(account=keys[old_key.account])
                groups[key] = groups[key].merged_with(group) if key in groups else group
        return replace(self, groups=groups, names=self.names.with_accounts(keys))


class EqualCharges(NamedTuple):
    """Charges whose cells are equal, except for times and amounts."""

    charge: Charge
    """All of them as one: with the sums of their amounts, their latest start and latest end."""
    first_start: datetime
    rows: int


def collect_bill(charges: Iterable[EqualCharges], currency: str | None, *, drop_tax: bool) -> Bill:
    """Group charges: of all currencies or of the given one, without tax rows if `drop_tax`."""
    bill = Bill()
    with localcontext(EXACT_ARITHMETIC):
        for equal in charges:
            charge, count = equal.charge, equal.rows
            bill.currencies[charge.currency] = bill.currencies.get(charge.currency, 0) + count
            if currency is not None and charge.currency != currency:
                continue
            if charge.charge_category == TAX:
                bill.tax_rows += count
                bill.tax += charge.billed_cost
                if drop_tax:
                    continue
            bill.rows += count
            _add_charges(bill, equal)
    bill.currencies = dict(sorted(bill.currencies.items()))
    return bill


def _add_charges(bill: Bill, equal: EqualCharges) -> None:
    charge = equal.charge
    account = make_account_key(charge.account, charge.issuer or charge.provider)
    corrected = f"{charge.charge_start:%Y-%m}" if charge.charge_class == CORRECTION else ""
    key = ChargeGroupKey._make((account, *_get_common_values(charge), corrected))
    quantity = charge.consumed_quantity
    group = ChargeGroup(
        charge.billed_cost,
        equal.first_start,
        charge.charge_end,
        equal.rows,
        charge.pricing_quantity,
        {} if quantity is None else {charge.consumed_unit: quantity},
        (charge.invoice_id,) if charge.invoice_id else (),
    )
    known = bill.groups.get(key)
    bill.groups[key] = known.merged_with(group) if known else group
    names, since = bill.names, charge.charge_start
    names.add((account,), since, charge.account_name)
    names.add((account, charge.sub_account), since, charge.sub_account_name)
    names.add((charge.provider, charge.resource), since, charge.resource_name)
