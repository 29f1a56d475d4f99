"""Matches the billing accounts of a bill with the stored customers."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import ImportSource
from app.catalogue.models import Offering, Resource
from app.customers.models import Customer, Project
from app.database.statements import equals_any
from app.dataio.focus import identifiers
from app.dataio.focus.accounts import (
    Account,
    LegacyCustomer,
    collect_accounts,
    resolve_account_keys,
)
from app.dataio.focus.charge_groups import Bill, account_id, account_issuer
from app.dataio.focus.stored_invoices import find_existing, load_customer_names
from app.invoices.models import Invoice, InvoiceItem


async def match_stored_customers(connection: AsyncConnection, bill: Bill) -> tuple[Bill, list[str]]:
    """Return the bill with the account keys of its customers, and warnings.

    Warns of a new customer that has the id or name of a stored one: the issuer may have changed its
    name.
    """
    accounts = collect_accounts(bill)
    ids = {account_id(key) for key in accounts}
    key_by_uuid = {identifiers.customer_uuid(key): key for key in accounts.keys() | ids}
    names = await load_customer_names(connection, key_by_uuid)
    stored = {key_by_uuid[uuid] for uuid in names}
    legacy = {
        identifier: await _load_legacy_customer(
            connection,
            identifier,
            names[identifiers.customer_uuid(identifier)],
            [account for key, account in accounts.items() if account_id(key) == identifier],
        )
        for identifier in ids & stored
    }
    keys = resolve_account_keys(accounts, stored & accounts.keys(), legacy)
    new = {key: accounts[key].name or account_id(key) for key in keys.values() if key not in stored}
    known_names = await _find_focus_customer_names(connection, new.values())
    warnings = [
        f"The billing account {account_id(key)} of {account_issuer(key)}, {name}, is a new "
        "customer: another customer with this id or name has another issuer."
        for key, name in sorted(new.items())
        if account_id(key) in legacy or name in known_names or _has_same_id(key, keys.values())
    ]
    return bill.with_accounts(keys), warnings


def _has_same_id(key: str, keys: Collection[str]) -> bool:
    return any(account_id(other) == account_id(key) for other in keys if other != key)


async def _find_focus_customer_names(
    connection: AsyncConnection, names: Collection[str]
) -> set[str]:
    """Return those of the names that stored customers of cloud bills have."""
    statement = select(Customer.name).where(
        Customer.source == ImportSource.FOCUS, Customer.name.in_(names)
    )
    return set((await connection.execute(statement)).scalars())


async def _load_legacy_customer(
    connection: AsyncConnection, identifier: str, name: str, accounts: Iterable[Account]
) -> LegacyCustomer:
    """Return a customer of an account id, with the providers and sub accounts that it has had."""
    providers = set().union(*(account.providers for account in accounts))
    sub_accounts = set().union(*(account.sub_accounts for account in accounts))
    sellers = {identifiers.seller_uuid(each): each for each in providers}
    projects = {identifiers.project_uuid(identifier, each): each for each in sub_accounts}
    customer = identifiers.customer_uuid(identifier)
    return LegacyCustomer(
        name,
        {sellers[seller] for seller in await _find_sellers(connection, customer, sellers)},
        {projects[each] for each in await find_existing(connection, Project.uuid, projects)},
    )


async def _find_sellers(
    connection: AsyncConnection, customer: UUID, sellers: Collection[UUID]
) -> Iterable[UUID]:
    """Return those of the sellers that have billed the customer or sold it a resource."""
    customer_id = select(Customer.id).where(Customer.uuid == customer).scalar_subquery()
    has_billed = exists().where(
        InvoiceItem.invoice_id == Invoice.id,
        InvoiceItem.offering_id == Offering.id,
        Invoice.customer_id == customer_id,
    )
    has_sold = exists().where(
        Resource.project_id == Project.id,
        Resource.offering_id == Offering.id,
        Project.customer_id == customer_id,
    )
    return await connection.scalars(
        select(Customer.uuid)
        .join(Offering, Offering.customer_id == Customer.id)
        .where(equals_any(Customer.uuid, sellers), or_(has_sold, has_billed))
        .distinct()
    )
