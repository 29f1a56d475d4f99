"""Queries of the ledger of credits, for an import from a Waldur."""

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.credits.models import CreditTransaction, CustomerCredit, ProjectCredit
from app.customers.models import Customer, Project
from app.database.statements import AnySelect


class UnexplainedBalance(NamedTuple):
    """A credit whose balance is not the sum of its ledger."""

    credit: UUID
    customer: UUID
    project: UUID | None
    """Null for the credit of a customer."""
    project_name: str
    difference: Decimal
    """The balance less the sum of the ledger."""


async def find_own_movements(
    connection: AsyncConnection, imported: Collection[UUID]
) -> dict[UUID, list[UUID]]:
    """Return the movements of each credit that are not `imported`, those of Waldur's ledger."""
    credit = func.coalesce(
        CreditTransaction.customer_credit_uuid, CreditTransaction.project_credit_uuid
    )
    movements: dict[UUID, list[UUID]] = defaultdict(list)
    result = await connection.stream(select(credit, CreditTransaction.uuid))
    async for moved, movement in result:
        if moved is not None and movement not in imported:
            movements[moved].append(movement)
    return movements


async def find_credits(connection: AsyncConnection, kind: str) -> dict[UUID, UUID]:
    """Return the credits of a kind, by the UUID of their customer or project."""
    if kind == "customer_credit":
        statement = select(Customer.uuid, CustomerCredit.uuid).join_from(CustomerCredit, Customer)
    else:
        statement = select(Project.uuid, ProjectCredit.uuid).join_from(ProjectCredit, Project)
    rows = await connection.execute(statement)
    return {row[0]: row[1] for row in rows}


async def replace_credit(connection: AsyncConnection, kind: str, old: UUID, new: UUID) -> None:
    """Give a credit the UUID of the one that replaces it. The old ledger keeps the old UUID.

    A customer or a project has only one credit, and items refer to it.
    """
    table = CustomerCredit if kind == "customer_credit" else ProjectCredit
    await connection.execute(update(table).where(table.uuid == old).values(uuid=new))


async def find_unexplained_balances(
    connection: AsyncConnection, uuids: Collection[UUID]
) -> list[UnexplainedBalance]:
    """Return those of the credits of customers and projects whose ledger has another sum."""
    found = []
    for statement in (_customer_credits(), _project_credits()):
        rows = await connection.execute(statement)
        found += [UnexplainedBalance(*row) for row in rows if row.credit in uuids]
    return found


def _customer_credits() -> AnySelect:
    movement = CreditTransaction.customer_credit_uuid == CustomerCredit.uuid
    difference = CustomerCredit.value - _ledger_sum(movement)
    return (
        select(CustomerCredit.uuid.label("credit"), Customer.uuid, null(), literal(""), difference)
        .join_from(CustomerCredit, Customer)
        .where(difference != 0)
        .order_by(CustomerCredit.id)
    )


def _project_credits() -> AnySelect:
    movement = CreditTransaction.project_credit_uuid == ProjectCredit.uuid
    difference = ProjectCredit.value - _ledger_sum(movement)
    return (
        select(
            ProjectCredit.uuid.label("credit"),
            Customer.uuid,
            Project.uuid,
            Project.name,
            difference,
        )
        .join_from(ProjectCredit, Project)
        .join(Customer, Customer.id == Project.customer_id)
        .where(difference != 0)
        .order_by(ProjectCredit.id)
    )


def _ledger_sum(movement: ColumnElement[bool]) -> ColumnElement[Decimal]:
    amounts = select(func.sum(CreditTransaction.amount)).where(movement).scalar_subquery()
    return func.coalesce(amounts, 0)
