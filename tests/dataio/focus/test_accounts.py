"""Which customer a billing account is."""

from collections.abc import Sequence

from app.dataio.focus.accounts import Account, LegacyCustomer, resolve_account_keys
from app.dataio.focus.charge_groups import make_account_key

CLOUD, BRANCH, OTHER = (
    make_account_key("1", name) for name in ("Cloud Inc", "Cloud SARL", "Other")
)


def account(
    name: str = "Buyer",
    providers: Sequence[str] = ("Cloud",),
    sub_accounts: Sequence[str] = ("sub",),
    charges: int = 1,
) -> Account:
    return Account(name, charges, set(providers), set(sub_accounts))


def test_one_id_of_two_providers_is_two_accounts() -> None:
    accounts = {CLOUD: account(), OTHER: account(providers=["Other"])}
    assert resolve_account_keys(accounts, set(), {}) == {CLOUD: CLOUD, OTHER: OTHER}


def test_one_id_and_name_of_one_provider_is_one_account_by_the_issuer_of_most_charges() -> None:
    accounts = {BRANCH: account(charges=2), CLOUD: account(charges=3)}
    assert resolve_account_keys(accounts, set(), {}) == {CLOUD: CLOUD, BRANCH: CLOUD}


def test_one_id_of_one_provider_under_two_names_is_two_accounts() -> None:
    accounts = {CLOUD: account("Buyer"), OTHER: account("Reseller's buyer")}
    assert resolve_account_keys(accounts, set(), {}) == {CLOUD: CLOUD, OTHER: OTHER}


def test_the_order_of_charges_does_not_matter() -> None:
    one, other = account(charges=2), account(charges=2)
    assert resolve_account_keys({CLOUD: one, BRANCH: other}, set(), {}) == resolve_account_keys(
        {BRANCH: other, CLOUD: one}, set(), {}
    )


def test_an_existing_customer_is_used_whatever_the_charges() -> None:
    accounts = {BRANCH: account(charges=9), CLOUD: account(charges=1)}
    assert resolve_account_keys(accounts, {CLOUD}, {}) == {CLOUD: CLOUD, BRANCH: CLOUD}
    assert resolve_account_keys(accounts, {CLOUD, BRANCH}, {}) == {CLOUD: CLOUD, BRANCH: BRANCH}


def test_a_customer_of_an_earlier_release_is_used_only_for_its_account() -> None:
    earlier = {"1": LegacyCustomer("Renamed here", {"Cloud"}, {"sub"})}
    accounts = {CLOUD: account(), OTHER: account("Buyer", ["Other"])}
    assert resolve_account_keys(accounts, set(), earlier) == {CLOUD: "1", OTHER: OTHER}


def test_a_new_sub_account_is_known_by_the_name_of_the_account() -> None:
    earlier = {"1": LegacyCustomer("Buyer", {"Cloud"}, set())}
    assert resolve_account_keys({CLOUD: account()}, set(), earlier) == {CLOUD: "1"}
    assert resolve_account_keys({CLOUD: account("Another")}, set(), earlier) == {CLOUD: CLOUD}
