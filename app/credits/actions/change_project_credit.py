"""Create, change and delete the credit of a project, as staff and owners of its customer do."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import CreditTransactionType
from app.credits.actions.credit_terms import NEW, change_terms, stored_values
from app.credits.errors import (
    CreditExists,
    CreditNotFound,
    NoCustomerCredit,
    ProjectsExceedCredit,
)
from app.credits.repository import ledger, records
from app.credits.repository.ledger import Credit, CustomerCredits, Movement
from app.domain_errors import InvalidField, PermissionDenied, UnknownReference
from app.identity.caller import Caller

_SPENDS_REST: Final = "mark_unused_credit_as_spent_on_project_termination"


@dataclass(frozen=True, slots=True)
class CreateProjectCredit:
    """Give a project a share of its customer's credit."""

    caller: Caller
    values: Mapping[str, Any]
    """By the fields of the request; `project` is a UUID."""


@dataclass(frozen=True, slots=True)
class UpdateProjectCredit:
    """Change fields of a project's credit."""

    caller: Caller
    uuid: UUID
    values: Mapping[str, Any]
    """As in `CreateProjectCredit`; `project` is that of the credit."""


@dataclass(frozen=True, slots=True)
class DeleteProjectCredit:
    """Delete a project's credit."""

    caller: Caller
    uuid: UUID


async def create_project_credit(connection: AsyncConnection, command: CreateProjectCredit) -> UUID:
    """Create the credit and return its UUID.

    The value is a movement of the ledger. Raises `PermissionDenied`, `UnknownReference`,
    `NoCustomerCredit`, `CreditExists`, `ProjectsExceedCredit`, and `InvalidField` if a rule forbids
    a value.
    """
    project = await records.find_project(connection, command.values["project"])
    if project is None:
        if not command.caller.is_staff:
            raise PermissionDenied
        raise UnknownReference("project")
    await require_manager(connection, command.caller, project.customer_id)
    credits = await ledger.lock_credits(connection, project.customer_id)
    if credits is None:
        raise NoCustomerCredit
    terms = change_terms(NEW, command.values, clock.today())
    columns = stored_values(terms) | _rest(command.values)
    if not await records.add_project_credit(connection, project.id, columns):
        raise CreditExists("project")
    _require_cover(credits, terms.value, NEW.value)
    credits, credit = await _relock(connection, project.customer_id, project.id)
    await ledger.move(
        connection, [Movement(credit, terms.value, CreditTransactionType.STAFF_GRANT)]
    )
    return credit.uuid


async def update_project_credit(connection: AsyncConnection, command: UpdateProjectCredit) -> None:
    """Change the credit; a change of the value is a movement of the ledger.

    Raises `CreditNotFound`, `PermissionDenied`, `NoCustomerCredit`, `ProjectsExceedCredit`, and
    `InvalidField` if a rule forbids a value.
    """
    credits, credit = await _lock(connection, command.caller, command.uuid)
    if command.values.get("project", credit.project_uuid) != credit.project_uuid:
        raise InvalidField("project", "The project of a credit cannot be changed.")
    terms = change_terms(credit.terms, command.values, clock.today())
    _require_cover(credits, terms.value, credit.terms.value)
    columns = stored_values(terms) | _rest(command.values)
    await ledger.set_columns(connection, credit, columns)
    await ledger.move(
        connection,
        [Movement(credit, terms.value - credit.terms.value, CreditTransactionType.STAFF_GRANT)],
    )


async def delete_project_credit(connection: AsyncConnection, command: DeleteProjectCredit) -> None:
    """Delete the credit, whose balance leaves through the ledger and remains the customer's.

    Raises `CreditNotFound`, `PermissionDenied` and `NoCustomerCredit`.
    """
    _, credit = await _lock(connection, command.caller, command.uuid)
    await ledger.move(
        connection, [Movement(credit, -credit.terms.value, CreditTransactionType.ADJUSTMENT)]
    )
    await records.delete_project_credit(connection, credit)


async def require_manager(
    connection: AsyncConnection, caller: Caller, customer_id: int | None = None
) -> None:
    """Raise `PermissionDenied` unless the caller is staff or an owner of the customer.

    Without a customer, an owner of any is meant: a request may name none.
    """
    if not await records.may_manage(connection, caller, customer_id):
        raise PermissionDenied


async def find_managed_project(
    connection: AsyncConnection, caller: Caller, uuid: UUID
) -> Row[int, int]:
    """Return the `id` and the `customer_id` of the project with a credit.

    Raises `CreditNotFound`, and `PermissionDenied` if the caller may not change the credit.
    """
    project = await records.find_project_of_credit(connection, uuid)
    if project is None:
        raise CreditNotFound("ProjectCredit")
    await require_manager(connection, caller, project.customer_id)
    return project


async def _lock(
    connection: AsyncConnection, caller: Caller, uuid: UUID
) -> tuple[CustomerCredits, Credit]:
    project = await find_managed_project(connection, caller, uuid)
    return await _relock(connection, project.customer_id, project.id)


async def _relock(
    connection: AsyncConnection, customer_id: int, project_id: int
) -> tuple[CustomerCredits, Credit]:
    credits = await ledger.lock_credits(connection, customer_id)
    if credits is None:
        raise NoCustomerCredit
    for credit in credits.project_credits:
        if credit.project_id == project_id:
            return credits, credit
    raise CreditNotFound("ProjectCredit")


def _require_cover(credits: CustomerCredits, value: Decimal, before: Decimal) -> None:
    """Raise `ProjectsExceedCredit` if a higher value exceeds the rest of the customer's credit."""
    shares = sum((each.terms.value for each in credits.project_credits), Decimal(0))
    if value > before and shares - before + value > credits.credit.terms.value:
        raise ProjectsExceedCredit


def _rest(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_SPENDS_REST: values[_SPENDS_REST]} if _SPENDS_REST in values else {}
