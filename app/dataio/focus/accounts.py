"""Whose bill it is: which customer a billing account is.

FOCUS says that the id of a billing account is unique within its provider only, and one bill may
hold charges of several service providers. So an account is known by its id and by who issues its
invoices.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from app.dataio.focus.grouping import Bill, id_of, issuer_of


@dataclass
class Account:
    """A billing account in a bill."""

    name: str
    charges: int = 0
    providers: set[str] = field(default_factory=set)
    sub_accounts: set[str] = field(default_factory=set)

    def is_also(self, other: "Account") -> bool:
        """Tell whether an account with the same id is the same account.

        An id is unique within its provider, some of which bill by several companies.
        """
        named_alike = not (self.name and other.name) or self.name == other.name
        return named_alike and not self.providers.isdisjoint(other.providers)


@dataclass(frozen=True)
class Earlier:
    """A customer that an earlier version made of an account by its id alone."""

    name: str
    providers: AbstractSet[str]
    """Those of the bill whose charges it has been billed."""
    sub_accounts: AbstractSet[str]
    """Those of the bill that are its projects."""

    def was(self, account: Account) -> bool:
        """Tell whether it is this account, and not one of another provider with the same id."""
        known = self.name == account.name or not self.sub_accounts.isdisjoint(account.sub_accounts)
        return known and not self.providers.isdisjoint(account.providers)


def accounts_of(bill: Bill) -> dict[str, Account]:
    """Return the accounts of a bill by their keys."""
    found: dict[str, Account] = {}
    for key, group in bill.groups.items():
        account = found.get(key.account)
        if account is None:
            account = found[key.account] = Account(bill.names.given(key.account))
        account.charges += group.charges
        account.providers.add(key.provider)
        account.sub_accounts.add(key.sub_account)
    return found


def identify(
    accounts: Mapping[str, Account], known: AbstractSet[str], earlier: Mapping[str, Earlier]
) -> dict[str, str]:
    """Return, for the key of each account in a bill, the key that its customer follows from.

    `known` are the keys whose customers are there; `earlier`, by their ids, the customers that
    earlier versions made. One that was this account goes on being its customer.
    """
    keys: dict[str, str] = {}
    for same in _joined(accounts):
        found = [key for key in same if key in known]
        account_id = id_of(same[0])
        before = earlier.get(account_id)
        if found:
            shared = found[0]
        elif before is not None and any(before.was(accounts[key]) for key in same):
            shared = account_id
        else:
            shared = same[0]
        keys.update({key: key if key in known else shared for key in same})
    return keys


def _joined(accounts: Mapping[str, Account]) -> Iterable[list[str]]:
    """Yield the keys of what is one account under several issuers, most charges first."""
    joined: dict[str, list[list[str]]] = {}
    for key in sorted(accounts, key=lambda key: (-accounts[key].charges, issuer_of(key))):
        others = joined.setdefault(id_of(key), [])
        same = [
            each for each in others if any(accounts[key].is_also(accounts[one]) for one in each)
        ]
        others[:] = [each for each in others if each not in same]
        others.append([*(one for each in same for one in each), key])
    for each in joined.values():
        yield from each
