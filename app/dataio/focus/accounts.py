"""Finds the customer of each billing account.

In FOCUS the id of a billing account is unique only within its provider, and one bill may hold the
charges of several service providers. An account is therefore identified by its id and the issuer of
its invoices.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from app.dataio.focus.charge_groups import Bill, account_id, account_issuer


@dataclass
class Account:
    """A billing account in a bill."""

    name: str
    charges: int = 0
    providers: set[str] = field(default_factory=set)
    sub_accounts: set[str] = field(default_factory=set)

    def is_same_as(self, other: "Account") -> bool:
        """Return whether an account with the same id and another issuer is the same account.

        An id is unique within its provider, and some providers bill through several companies.
        """
        same_name = not (self.name and other.name) or self.name == other.name
        return same_name and not self.providers.isdisjoint(other.providers)


@dataclass(frozen=True)
class LegacyCustomer:
    """A customer that an earlier release created from the id of an account alone."""

    name: str
    providers: AbstractSet[str]
    """The providers in the bill that have charged the customer before."""
    sub_accounts: AbstractSet[str]
    """The sub accounts in the bill that are projects of the customer."""

    def matches(self, account: Account) -> bool:
        """Return whether the customer is this account, not another provider's with the same id."""
        is_known = self.name == account.name or not self.sub_accounts.isdisjoint(
            account.sub_accounts
        )
        return is_known and not self.providers.isdisjoint(account.providers)


def collect_accounts(bill: Bill) -> dict[str, Account]:
    """Return the accounts of a bill by their keys."""
    accounts: dict[str, Account] = {}
    for key, group in bill.groups.items():
        account = accounts.get(key.account)
        if account is None:
            account = accounts[key.account] = Account(bill.names.name(key.account))
        account.charges += group.charges
        account.providers.add(key.provider)
        account.sub_accounts.add(key.sub_account)
    return accounts


def resolve_account_keys(
    accounts: Mapping[str, Account],
    known: AbstractSet[str],
    legacy: Mapping[str, LegacyCustomer],
) -> dict[str, str]:
    """Return, by the key of each account in a bill, the key from which its customer's UUID follows.

    `known` has the keys of the existing customers, `legacy` the customers of earlier releases by
    account id. An account that matches a legacy customer keeps that customer.
    """
    resolved: dict[str, str] = {}
    for keys in _group_same_accounts(accounts):
        existing = [key for key in keys if key in known]
        identifier = account_id(keys[0])
        customer = legacy.get(identifier)
        if existing:
            shared = existing[0]
        elif customer is not None and any(customer.matches(accounts[key]) for key in keys):
            shared = identifier
        else:
            shared = keys[0]
        resolved.update({key: key if key in known else shared for key in keys})
    return resolved


def _group_same_accounts(accounts: Mapping[str, Account]) -> Iterable[list[str]]:
    """Yield the keys of each account, which may have several issuers, most charges first."""
    groups_by_id: dict[str, list[list[str]]] = {}
    for key in sorted(accounts, key=lambda key: (-accounts[key].charges, account_issuer(key))):
        groups = groups_by_id.setdefault(account_id(key), [])
        same = [
            keys for keys in groups if any(accounts[key].is_same_as(accounts[one]) for one in keys)
        ]
        groups[:] = [keys for keys in groups if keys not in same]
        groups.append([*(one for keys in same for one in keys), key])
    for groups in groups_by_id.values():
        yield from groups
