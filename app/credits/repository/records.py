"""The statements that find, create and delete credits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Row,
    delete,
    exists,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app import clock
from app.billing.enums import (
    UNISSUED,
    CustomerRoleName,
)
from app.catalogue.models import Offering
from app.credits.models import (
    CustomerCredit,
    CustomerCreditOffering,
    ProjectCredit,
    billed_invoice,
    billed_item,
)
from app.credits.repository.ledger import Credit, CustomerCredits, lock_credits
from app.customers.models import Customer, Project
from app.database.statements import equals_any
from app.identity.access import visibility_of, visible_customers
from app.identity.caller import Caller


async def lock_customer(connection: AsyncConnection, uuid: UUID) -> int | None:
    """Lock a customer and return its id; None if it does not exist.

    The lock lets changes take turns that give the customer a credit.
    """
    statement = select(Customer.id).where(Customer.uuid == uuid).with_for_update(key_share=True)
    return (await connection.execute(statement)).scalar_one_or_none()


async def find_owner(connection: AsyncConnection, uuid: UUID) -> int | None:
    """Return the id of the customer with a credit; None if the credit does not exist."""
    statement = select(CustomerCredit.customer_id).where(CustomerCredit.uuid == uuid)
    return (await connection.execute(statement)).scalar_one_or_none()


async def add_credit(
    connection: AsyncConnection, customer_id: int, values: Mapping[str, Any]
) -> bool:
    """Give a customer a credit of zero; return False if the customer has one."""
    statement = insert(CustomerCredit).values(
        uuid=uuid4(), customer_id=customer_id, value=Decimal(0), created_at=clock.now(), **values
    )
    return bool((await connection.execute(statement.on_conflict_do_nothing())).rowcount)


async def delete_credits(connection: AsyncConnection, credits: CustomerCredits) -> None:
    """Delete the locked credits of a customer and its projects. The ledger remains."""
    ids = [each.id for each in credits.project_credits]
    await connection.execute(delete(ProjectCredit).where(ProjectCredit.id.in_(ids)))
    await connection.execute(delete(CustomerCredit).where(CustomerCredit.id == credits.credit.id))


async def pays_unissued_invoice(connection: AsyncConnection, credit: Credit) -> bool:
    """Return whether an invoice that is not issued has compensations by a customer's credit."""
    statement = (
        select(billed_item.c.invoice_id)
        .join(billed_invoice, billed_invoice.c.id == billed_item.c.invoice_id)
        .where(billed_item.c.customer_credit_id == credit.id, billed_invoice.c.state.in_(UNISSUED))
        .limit(1)
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def set_customer(connection: AsyncConnection, credit: Credit, customer_id: int) -> bool:
    """Give a locked credit to another customer; return False if that one has a credit."""
    other = aliased(CustomerCredit)
    statement = (
        update(CustomerCredit)
        .where(
            CustomerCredit.id == credit.id,
            ~exists().where(other.customer_id == customer_id),
        )
        .values(customer_id=customer_id)
    )
    return bool((await connection.execute(statement)).rowcount)


async def set_offerings(connection: AsyncConnection, credit: Credit, uuids: Sequence[UUID]) -> bool:
    """Replace the offerings of a locked credit; return False if one does not exist."""
    found = select(literal(credit.id, BigInteger), Offering.id).where(
        equals_any(Offering.uuid, uuids)
    )
    await connection.execute(
        delete(CustomerCreditOffering).where(CustomerCreditOffering.customer_credit_id == credit.id)
    )
    added = await connection.execute(
        insert(CustomerCreditOffering).from_select(["customer_credit_id", "offering_id"], found)
    )
    return added.rowcount == len(uuids)


async def find_project(connection: AsyncConnection, uuid: UUID) -> Row[int, int] | None:
    """Return the `id` and the `customer_id` of a project; None if it does not exist."""
    statement = select(Project.id, Project.customer_id).where(Project.uuid == uuid)
    return (await connection.execute(statement)).one_or_none()


async def find_project_of_credit(connection: AsyncConnection, uuid: UUID) -> Row[int, int] | None:
    """Return the `id` and the `customer_id` of the project with a credit; None without one."""
    statement = (
        select(Project.id, Project.customer_id)
        .join(ProjectCredit, ProjectCredit.project_id == Project.id)
        .where(ProjectCredit.uuid == uuid)
    )
    return (await connection.execute(statement)).one_or_none()


async def may_manage(connection: AsyncConnection, caller: Caller, customer_id: int | None) -> bool:
    """Return whether the caller is staff, or an owner of the customer; None means of any."""
    if caller.is_staff:
        return True
    scope, values = visibility_of(replace(caller, is_support=False), clock.now())
    owned = select(Customer.id).where(
        visible_customers(Customer.id, scope, (CustomerRoleName.OWNER,))
    )
    if customer_id is not None:
        owned = owned.where(Customer.id == customer_id)
    return (await connection.execute(owned.limit(1), values)).one_or_none() is not None


async def lock_project_credit(connection: AsyncConnection, uuid: UUID) -> None:
    """Lock a project's credit, if it exists, after the credit of its customer."""
    project = await find_project_of_credit(connection, uuid)
    if project is not None:
        await lock_credits(connection, project.customer_id)


async def add_project_credit(
    connection: AsyncConnection, project_id: int, values: Mapping[str, Any]
) -> bool:
    """Give a project a credit of zero; return False if the project has one."""
    statement = insert(ProjectCredit).values(
        uuid=uuid4(), project_id=project_id, value=Decimal(0), created_at=clock.now(), **values
    )
    return bool((await connection.execute(statement.on_conflict_do_nothing())).rowcount)


async def delete_project_credit(connection: AsyncConnection, credit: Credit) -> None:
    """Delete the locked credit of a project. The ledger remains."""
    await connection.execute(delete(ProjectCredit).where(ProjectCredit.id == credit.id))
