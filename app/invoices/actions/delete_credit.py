"""Delete the credit of a customer."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import CreditTransactionType
from app.credits.actions.change_customer_credit import lock_customer_credit
from app.credits.errors import ProjectsHaveCredit
from app.credits.repository import ledger, records
from app.credits.repository.ledger import Movement
from app.invoices.actions.apply_compensations import ClearCompensations, clear_compensations
from app.invoices.repository import compensations


@dataclass(frozen=True, slots=True)
class DeleteCredit:
    """Delete a customer's credit."""

    uuid: UUID


async def delete_credit(connection: AsyncConnection, command: DeleteCredit) -> None:
    """Delete the credit, with the credits of projects, which must be zero.

    Compensations on invoices that are not issued are cleared before. Those on other invoices
    remain, and name no credit. The balance leaves through the ledger. Raises `CreditNotFound` and
    `ProjectsHaveCredit`.
    """
    credits = await lock_customer_credit(connection, command.uuid)
    customer_id = await records.find_owner(connection, command.uuid)
    if customer_id is not None:
        for invoice_id in await compensations.find_pending(connection, customer_id):
            await clear_compensations(connection, ClearCompensations(invoice_id))
    credits = await lock_customer_credit(connection, command.uuid)
    if any(each.terms.value for each in credits.project_credits):
        raise ProjectsHaveCredit
    movement = Movement(
        credits.credit, -credits.credit.terms.value, CreditTransactionType.ADJUSTMENT
    )
    await ledger.move(connection, [movement])
    await compensations.unlink_credit(connection, credits.credit.id)
    await records.delete_credits(connection, credits)
